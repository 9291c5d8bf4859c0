/** A HoloError on its way between threads, where a class is lost. */
import { type Blame, HoloError } from '../base/errors.ts'

export interface SentError {
  readonly message: string
  readonly code: string
  readonly blame: Blame
  readonly hint: string | undefined
}

export function sentError({ message, code, blame, hint }: HoloError): SentError {
  return { message, code, blame, hint }
}

export function receivedError({ message, code, blame, hint }: SentError): HoloError {
  return new HoloError(message, { code, blame, ...(hint === undefined ? {} : { hint }) })
}
