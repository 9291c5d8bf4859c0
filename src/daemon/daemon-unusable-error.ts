/** What a command branches on without loading the client of the control socket. */
import { HoloError } from '../base/errors.ts'

/** The daemon did not answer as it should; the caller does the work itself. */
export class DaemonUnusableError extends HoloError {
  constructor(reason: string, cause?: unknown) {
    super(`The daemon of this library is not usable: ${reason}`, {
      code: 'daemon-unusable',
      blame: 'host',
      hint: 'restart the daemon',
      cause,
    })
  }
}
