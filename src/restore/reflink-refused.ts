/** Strategy `reflink` where blocks cannot be shared. */
import { dirname } from 'node:path'
import { HoloError } from '../base/errors.ts'

export class ReflinkRefusedError extends HoloError {
  constructor({ library, space }: { readonly library: string; readonly space: string }, refusal: string) {
    const base = dirname(space)
    const why =
      refusal === 'EXDEV'
        ? `the library ${library} and the space's directory ${base} are on different file systems`
        : `the file system of ${base} does not share blocks (${refusal})`
    super(`Strategy reflink is not possible: ${why}`, {
      code: 'reflink-refused',
      blame: 'host',
      hint: 'use --strategy auto, or keep library and spaces together on btrfs, xfs, bcachefs or APFS',
    })
    this.name = 'ReflinkRefusedError'
  }
}
