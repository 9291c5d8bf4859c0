/**
 * Put one file into a space: clone or copy its blob, verify, relocate, give it mode and time, rename.
 *
 * Nothing appears under its final name unless every byte of it was hashed on the way. The file is made under a
 * temporary name in its own directory, exclusively, so nothing is written through a link. Knows nothing of plans.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { HoloError, hostError, systemCodeOf } from '../base/errors.ts'
import { BLOB_WHOLE_BYTES_MAX, CHUNK_BYTES } from '../base/limits.ts'
import type { Digest } from '../blob/digest.ts'
import { GzipError } from '../blob/gzip.ts'
import type { LocalBlob, LocalBlobs } from '../blob/local.ts'
import { digestLike, hasherFor } from '../catalog/hasher.ts'
import { TEMPORARY_PREFIX } from '../catalog/layout.ts'
import { applyRewrites, chunkRewriter } from '../catalog/relocation.ts'
import { RESTORED_TIME_S } from './file-mode.ts'
import type { FileStep } from './plan.ts'

/** Below this a clone costs as much as a copy of bytes that are in memory anyway, and saves little. */
const CLONE_BYTES_MIN = 64 * 1024
const NOTHING = new Uint8Array(0)
/** What a file system answers that cannot clone, or not from that one. */
const NO_CLONE = new Set(['ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'EINVAL', 'ENOTTY', 'ENOSYS', 'EPERM', 'EACCES', 'ETXTBSY'])

/** How a file came to be: its bytes shared with the blob, written, or none at all. `absent` and `corrupt`: it did not. */
export type Placed = 'cloned' | 'copied' | 'empty' | 'absent' | 'corrupt'

let counter = 0

export class Placer {
  /** Probed by the first try: library and space are the same pair for all files. */
  #canClone = true
  readonly #empty = new Map<number, Digest>()

  constructor(
    private readonly blobs: LocalBlobs,
    private readonly spaceName: string,
  ) {}

  /**
   * Make `directory`/`step.name`, replacing a file or link of that name.
   *
   * @returns `absent` or `corrupt` where the local blob is, and then nothing was changed
   * @throws {HoloError} blame `host`: reading or writing failed, and no temporary is left
   * @throws `signal.reason`, unwrapped, once `signal` aborts during a large file
   */
  async place(step: FileStep, directory: string, signal: AbortSignal): Promise<Placed> {
    const temporary = join(directory, `${TEMPORARY_PREFIX}${process.pid}-${counter++}`)
    const target = join(directory, step.name)
    try {
      if (this.#isEmpty(step)) {
        finish(create(temporary), NOTHING, step, temporary, target)
        return 'empty'
      }
      const blob = this.blobs.find(step.digest)
      if (blob === undefined) return 'absent'
      if (this.#canClone && blob.form === 'identity' && blob.storedBytes >= CLONE_BYTES_MIN) {
        const cloned = await this.#clone(step, blob, temporary, target, signal)
        if (cloned !== undefined) return cloned
      }
      if (step.sizeBytes > BLOB_WHOLE_BYTES_MAX) return await this.#stream(step, blob, temporary, target, signal)
      const content = blob.whole(step.sizeBytes)
      if (digestLike(step.digest, content) !== step.digest) return 'corrupt'
      if (step.rewrite.length > 0) applyRewrites(content, step.rewrite, this.spaceName)
      finish(create(temporary), content, step, temporary, target)
      return 'copied'
    } catch (error) {
      removeQuietly(temporary)
      if (error instanceof GzipError) return 'corrupt'
      signal.throwIfAborted()
      throw error instanceof HoloError ? error : hostError(`write ${target}`, error)
    }
  }

  /** The empty blob occurs hundreds of times in an environment. */
  #isEmpty({ sizeBytes, digest }: FileStep): boolean {
    if (sizeBytes !== 0) return false
    const known = this.#empty.get(digest.length) ?? digestLike(digest, NOTHING)
    this.#empty.set(digest.length, known)
    return known === digest
  }

  /** @returns undefined where this pair of places cannot clone */
  async #clone(
    step: FileStep,
    blob: LocalBlob,
    temporary: string,
    target: string,
    signal: AbortSignal,
  ): Promise<Placed | undefined> {
    try {
      fs.copyFileSync(blob.path, temporary, fs.constants.COPYFILE_FICLONE_FORCE | fs.constants.COPYFILE_EXCL)
      // The clone bears the blob's mode, which may not let us write.
      fs.chmodSync(temporary, 0o600)
    } catch (error) {
      if (!NO_CLONE.has(systemCodeOf(error) ?? '')) throw error
      removeQuietly(temporary)
      this.#canClone = false
      return undefined
    }
    const descriptor = fs.openSync(temporary, fs.constants.O_RDWR | fs.constants.O_NOFOLLOW)
    try {
      if (!(await isBlob(descriptor, step, signal))) {
        removeQuietly(temporary)
        return 'corrupt'
      }
      const name = Buffer.from(this.spaceName)
      for (const offset of step.rewrite) writeAll(descriptor, name, offset)
      dress(descriptor, step)
    } finally {
      fs.closeSync(descriptor)
    }
    fs.renameSync(temporary, target)
    return 'cloned'
  }

  async #stream(
    step: FileStep,
    blob: LocalBlob,
    temporary: string,
    target: string,
    signal: AbortSignal,
  ): Promise<Placed> {
    const hasher = hasherFor(step.digest)
    const rewriteChunk = chunkRewriter(step.rewrite, this.spaceName)
    const descriptor = create(temporary)
    let right = false
    try {
      let total = 0
      for await (const chunk of blob.chunks(step.sizeBytes)) {
        signal.throwIfAborted()
        const at = total
        total += chunk.byteLength
        // A raw blob that is longer than the catalog says is stopped here.
        if (total > step.sizeBytes) break
        hasher.update(chunk)
        rewriteChunk(chunk)
        writeAll(descriptor, chunk, at)
      }
      right = total === step.sizeBytes && hasher.digest() === step.digest
      if (right) dress(descriptor, step)
    } finally {
      fs.closeSync(descriptor)
    }
    if (!right) {
      removeQuietly(temporary)
      return 'corrupt'
    }
    fs.renameSync(temporary, target)
    return 'copied'
  }
}

async function isBlob(descriptor: number, step: FileStep, signal: AbortSignal): Promise<boolean> {
  if (fs.fstatSync(descriptor).size !== step.sizeBytes) return false
  const hasher = hasherFor(step.digest)
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, step.sizeBytes))
  for (let at = 0; at < step.sizeBytes; ) {
    signal.throwIfAborted()
    const count = fs.readSync(descriptor, chunk, 0, chunk.byteLength, at)
    if (count === 0) return false
    hasher.update(chunk.subarray(0, count))
    at += count
  }
  return hasher.digest() === step.digest
}

/** Private until it is whole: the mode comes last. */
function create(path: string): number {
  return fs.openSync(path, 'wx', 0o600)
}

function finish(descriptor: number, content: Uint8Array, step: FileStep, temporary: string, target: string): void {
  try {
    writeAll(descriptor, content, 0)
    dress(descriptor, step)
  } finally {
    fs.closeSync(descriptor)
  }
  fs.renameSync(temporary, target)
}

/** After the last write, which would clear setuid and set the time. */
function dress(descriptor: number, step: FileStep): void {
  fs.fchmodSync(descriptor, step.mode)
  fs.futimesSync(descriptor, RESTORED_TIME_S, RESTORED_TIME_S)
}

function writeAll(descriptor: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.byteLength; ) {
    at += fs.writeSync(descriptor, bytes, at, bytes.byteLength - at, position + at)
  }
}

function removeQuietly(path: string): void {
  try {
    fs.unlinkSync(path)
  } catch {
    // Never made, or renamed away.
  }
}
