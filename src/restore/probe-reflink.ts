/** Strategy `reflink` is refused before anything is written where it is not possible. */
import * as fs from 'node:fs'
import { dirname } from 'node:path'
import { hostError, systemCodeOf } from '../base/errors.ts'
import type { LocalBlobs } from '../blob/local.ts'
import type { RestorePlan } from './plan.ts'
import { ReflinkRefusedError } from './reflink-refused.ts'
import { temporaryBeside } from './write-meta.ts'

/** What a file system answers that cannot share blocks, or not from that one. */
const REFUSALS = new Set(['ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'EINVAL', 'ENOTTY', 'ENOSYS', 'EPERM'])

/**
 * Share the blocks of one raw blob of the plan with a temporary file beside the space.
 *
 * @throws {ReflinkRefusedError} that is not possible
 * @throws {HoloError} blame `host`: nothing can be written there
 */
export function probeReflink({ steps, paths }: RestorePlan, blobs: LocalBlobs): void {
  const path = firstRawBlob(steps, blobs)
  if (path === undefined) return
  const temporary = temporaryBeside(paths.meta)
  const { COPYFILE_EXCL, COPYFILE_FICLONE_FORCE } = fs.constants
  try {
    fs.rmSync(temporary, { force: true })
    fs.copyFileSync(path, temporary, COPYFILE_FICLONE_FORCE | COPYFILE_EXCL)
  } catch (error) {
    const code = systemCodeOf(error) ?? ''
    if (!REFUSALS.has(code)) throw hostError(`write ${temporary}`, error)
    throw new ReflinkRefusedError({ library: blobs.tree?.directory ?? dirname(path), space: paths.directory }, code)
  } finally {
    fs.rmSync(temporary, { force: true })
  }
}

function firstRawBlob(steps: RestorePlan['steps'], blobs: LocalBlobs): string | undefined {
  for (const { files } of steps) {
    for (const { digest, sizeBytes } of files) {
      const blob = sizeBytes === 0 ? undefined : blobs.find(digest)
      if (blob?.form === 'identity') return blob.path
    }
  }
  return undefined
}
