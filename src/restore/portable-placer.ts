/**
 * Put one file into a space by `node:fs`: link, clone or write its blob, verify, relocate, give it mode and time,
 * rename.
 *
 * Nothing appears under its final name unless its blob is known to be right. The file is made under a temporary name
 * in its own directory, exclusively, so nothing is written through a link. Knows nothing of directories and reports.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { HoloError, hostError, systemCodeOf } from '../base/errors.ts'
import { STAMP_LENGTH, sameInode, sameStamp } from '../base/file-stamp.ts'
import { BLOB_WHOLE_BYTES_MAX } from '../base/limits.ts'
import { beginsLikeGzip, GzipError } from '../blob/gzip.ts'
import type { LocalBlob } from '../blob/local.ts'
import { digestLike, hasherFor } from '../catalog/hasher.ts'
import { applyRewrites, chunkRewriter } from '../catalog/relocation.ts'
import { EmptyDigests } from './empty-digests.ts'
import { RESTORED_TIME_MS, RESTORED_TIME_S, UNUSED_MODES } from './file-mode.ts'
import type { FileStep, RestorePlan } from './plan.ts'
import { create, dress, finish, isBlob, removeQuietly, writeAll } from './portable-file.ts'
import { ReflinkRefusedError } from './reflink-refused.ts'
import type { RestoreReport } from './report.ts'
import type { Placing } from './run.ts'
import type { Method, Way } from './strategy.ts'
import type { Obstacles } from './strategy-limits.ts'
import { temporaryName } from './temporary-name.ts'

const NOTHING = new Uint8Array(0)
/** What a file system answers that cannot clone or link, or not from that one. Of the last four, only this file. */
const PAIR_REFUSALS = new Set(['ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'ENOTTY', 'ENOSYS'])
const REFUSALS = new Set([...PAIR_REFUSALS, 'EINVAL', 'EPERM', 'EACCES', 'ETXTBSY', 'EMLINK'])

export class PortablePlacer {
  #noClone: string | undefined
  #noLink: string | undefined
  #couldBeRaw = 0
  #counted = false
  readonly #refusals = new Map<string, number>()
  readonly #empty = new EmptyDigests()

  constructor(
    private readonly placing: Placing,
    private readonly plan: Pick<RestorePlan, 'spaceName' | 'paths'>,
  ) {}

  get obstacles(): Obstacles {
    return { reflink: this.#noClone, link: this.#noLink, couldBeRaw: this.#couldBeRaw }
  }

  countRefusals(report: RestoreReport): void {
    for (const [code, count] of this.#refusals) report.refusals[code] = (report.refusals[code] ?? 0) + count
  }

  /**
   * Make `directory`/`step.name`, replacing a file or link of that name.
   *
   * @returns `absent` or `corrupt` where the local blob is, and then nothing was changed
   * @throws {HoloError} blame `host`: reading or writing failed, and no temporary is left; code `reflink-refused`
   * @throws `signal.reason`, unwrapped, once `signal` aborts during a large file
   */
  async place(step: FileStep, way: Way, directory: string, signal: AbortSignal): Promise<Method> {
    const temporary = join(directory, temporaryName('p'))
    const target = join(directory, step.name)
    this.#counted = false
    try {
      if (this.#empty.isOf(step)) {
        finish(create(temporary), NOTHING, step, temporary, target)
        return 'empty'
      }
      const blob = this.placing.blobs.find(step.digest)
      if (blob === undefined) return 'absent'
      const trusted = this.#isTrusted(step, blob)
      if (blob.form === 'identity' && way !== 'write') {
        const shared = await this.#share(step, way, { blob, trusted, temporary, target }, signal)
        if (shared !== undefined) return shared
      }
      const written = blob.form === 'gzip' ? 'decoded' : 'written'
      if (step.sizeBytes > BLOB_WHOLE_BYTES_MAX) {
        return (await this.#stream(step, blob, temporary, target, signal)) ? written : 'corrupt'
      }
      const content = blob.whole(step.sizeBytes)
      if (!trusted && digestLike(step.digest, content) !== step.digest) return 'corrupt'
      if (blob.form === 'gzip' && !beginsLikeGzip(content)) this.#couldBeRaw++
      if (step.rewrite.length > 0) applyRewrites(content, step.rewrite, this.plan.spaceName)
      finish(create(temporary), content, step, temporary, target)
      if (!trusted) this.#noteVerified(step, blob)
      return written
    } catch (error) {
      removeQuietly(temporary)
      if (error instanceof GzipError) return 'corrupt'
      signal.throwIfAborted()
      throw error instanceof HoloError ? error : hostError(`write ${target}`, error)
    }
  }

  #isTrusted({ digest }: FileStep, blob: LocalBlob): boolean {
    const { verification, blobs } = this.placing
    if (verification !== 'trusted') return verification === 'skip'
    const noted = new Uint32Array(STAMP_LENGTH)
    return blobs.notes?.find(digest, noted, 0) === blob.form && sameStamp(noted, 0, blob.stamp, 0)
  }

  /** Note a blob, unless its file was replaced or written since it was found; a link of ours changes its ctime. */
  #noteVerified({ digest }: FileStep, { form, stamp }: LocalBlob, linked = false): void {
    const { verification, blobs } = this.placing
    if (verification === 'skip' || blobs.notes === undefined) return
    const now = blobs.find(digest)
    if (now?.form !== form) return
    if (linked ? sameInode(stamp, 0, now.stamp, 0) : sameStamp(stamp, 0, now.stamp, 0)) {
      blobs.notes.add(digest, form, now.stamp, 0)
    }
  }

  /** Link or clone. @returns undefined where the bytes have to be written */
  async #share(
    step: FileStep,
    way: Exclude<Way, 'write'>,
    { blob, trusted, temporary, target }: { blob: LocalBlob; trusted: boolean; temporary: string; target: string },
    signal: AbortSignal,
  ): Promise<Method | undefined> {
    if (way === 'link' || way === 'symlink') {
      if (!trusted && !(await isBlob(blob.path, step, signal))) return 'corrupt'
      if (this.#link(step, blob, way, temporary, target)) {
        this.#noteVerified(step, blob, true)
        return way === 'link' ? 'hardlinked' : 'symlinked'
      }
    }
    const refusal = this.#noClone ?? this.#tryClone(blob, temporary)
    if (refusal === undefined && !this.#isStill(step, blob)) {
      removeQuietly(temporary)
      return undefined
    }
    if (refusal !== undefined) {
      this.#count(refusal)
      if (way === 'share-only') {
        throw new ReflinkRefusedError(
          { library: this.placing.blobs.tree?.directory ?? blob.path, space: this.plan.paths.directory },
          refusal,
        )
      }
      return undefined
    }
    if (!trusted && !(await isBlob(temporary, step, signal))) {
      removeQuietly(temporary)
      return 'corrupt'
    }
    const descriptor = fs.openSync(temporary, fs.constants.O_RDWR | (fs.constants.O_NOFOLLOW ?? 0))
    try {
      const name = Buffer.from(this.plan.spaceName)
      for (const offset of step.rewrite) writeAll(descriptor, name, offset)
      dress(descriptor, step)
    } finally {
      fs.closeSync(descriptor)
    }
    fs.renameSync(temporary, target)
    if (!trusted) this.#noteVerified(step, blob)
    return process.platform === 'win32' ? 'copied' : 'reflinked'
  }

  /** Whether a blob that was cloned or linked by its path is still the file that was looked at. */
  #isStill({ digest }: FileStep, { stamp }: LocalBlob): boolean {
    const now = this.placing.blobs.find(digest)
    return now !== undefined && sameInode(now.stamp, 0, stamp, 0)
  }

  /** @returns why not */
  #tryClone(blob: LocalBlob, temporary: string): string | undefined {
    // Windows' own copy shares blocks where the volume can (ReFS), and cannot be asked whether it did.
    const how = process.platform === 'win32' ? 0 : fs.constants.COPYFILE_FICLONE_FORCE
    try {
      fs.copyFileSync(blob.path, temporary, how | fs.constants.COPYFILE_EXCL)
      // The clone bears the blob's mode, which may not let us write.
      fs.chmodSync(temporary, 0o600)
      return undefined
    } catch (error) {
      removeQuietly(temporary)
      return this.#refusalOf(error, (code) => {
        this.#noClone = code
      })
    }
  }

  #link(step: FileStep, blob: LocalBlob, way: 'link' | 'symlink', temporary: string, target: string): boolean {
    if (this.#noLink !== undefined && way === 'link') {
      this.#count(this.#noLink)
      return false
    }
    try {
      const status = fs.statSync(blob.path)
      const mode = status.mode & 0o7777
      const used = way === 'link' ? status.nlink > 1 : !UNUSED_MODES.includes(mode)
      if (mode !== step.mode && used) {
        this.#count('MODE')
        return false
      }
      if (mode !== step.mode) fs.chmodSync(blob.path, step.mode)
      if (way === 'link' && status.mtimeMs !== RESTORED_TIME_MS) {
        fs.utimesSync(blob.path, RESTORED_TIME_S, RESTORED_TIME_S)
      }
      if (way === 'link') fs.linkSync(blob.path, temporary)
      else fs.symlinkSync(blob.path, temporary)
      if (!this.#isStill(step, blob)) {
        removeQuietly(temporary)
        return false
      }
      fs.renameSync(temporary, target)
      // Renaming one link of an inode onto another does nothing at all, and leaves both.
      removeQuietly(temporary)
      return true
    } catch (error) {
      removeQuietly(temporary)
      this.#count(
        this.#refusalOf(error, (code) => {
          this.#noLink = code
        }),
      )
      return false
    }
  }

  #refusalOf(error: unknown, ofPair: (code: string) => void): string {
    const system = systemCodeOf(error) ?? ''
    if (!REFUSALS.has(system)) throw error
    // Two names of one thing on Linux, two things on macOS.
    const code = system === 'ENOTSUP' ? 'EOPNOTSUPP' : system
    if (PAIR_REFUSALS.has(code)) ofPair(code)
    return code
  }

  #count(code: string): void {
    // The first one counts: it is what the strategy wanted.
    if (this.#counted) return
    this.#counted = true
    this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + 1)
  }

  /** @returns false where the blob is corrupt */
  async #stream(
    step: FileStep,
    blob: LocalBlob,
    temporary: string,
    target: string,
    signal: AbortSignal,
  ): Promise<boolean> {
    const hasher = hasherFor(step.digest)
    const rewriteChunk = chunkRewriter(step.rewrite, this.plan.spaceName)
    const descriptor = create(temporary)
    let right = false
    try {
      let total = 0
      for await (const chunk of blob.chunks(step.sizeBytes)) {
        signal.throwIfAborted()
        const at = total
        if (at === 0 && blob.form === 'gzip' && !beginsLikeGzip(chunk)) this.#couldBeRaw++
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
    if (right) {
      fs.renameSync(temporary, target)
      this.#noteVerified(step, blob)
    } else removeQuietly(temporary)
    return right
  }
}
