/** The one thing that can go wrong with an answer under way: what it was planned from is no more. */
import { HoloError } from '../base/errors.ts'

/** @param what begins the sentence: `Blob X` */
export function blobChanged(what: string): HoloError {
  return new HoloError(`${what} was changed or removed while it was about to be sent`, {
    code: 'blob-changed',
    blame: 'host',
    hint: 'ask again',
  })
}
