/**
 * Place the files of a plan, batch by batch, by the best way that library and space allow. Runs on two threads at once
 * over the same placements; what one finds out about blobs and file systems spares the other the try.
 *
 * Guarantees that no byte of a blob that is not known to be right gets into a space, and that a failure leaves no
 * unfinished file. Knows nothing of plans and reports.
 */
import { constants as os } from 'node:os'
import { hostError } from '../base/errors.ts'
import { STAMP_LENGTH, sameInode } from '../base/file-stamp.ts'
import { freeNow } from '../base/free-now.ts'
import { AT_FDCWD, cString, errnoError, errnoName, libc, O_CLOEXEC, O_DIRECTORY, type Status } from '../base/libc.ts'
import { beginsLikeGzip, GzipError, gunzipStream } from '../blob/gzip.ts'
import { hasherFor } from '../catalog/hasher.ts'
import type { Verification } from '../catalog/strategies.ts'
import { BlobReader } from './blob-reader.ts'
import { DirectoryCursor } from './directory-cursor.ts'
import { FileMaker } from './file-maker.ts'
import { RESTORED_TIME_MS, UNUSED_MODES } from './file-mode.ts'
import {
  BLOB_ABSENT,
  BLOB_CORRUPT,
  BLOB_NOTED,
  BLOB_RENEWED,
  COULD_BE_RAW,
  DIRECTORIES_READY,
  FORM_GZIP,
  MODE_REFUSAL,
  NEXT_BATCH,
  NO_BLOB,
  NO_LINK,
  NO_RANGE,
  NO_REFLINK,
  PlacementTexts,
  type SharedPlacements,
  STOPPED,
  WAYS,
} from './placements.ts'
import { ReflinkRefusedError } from './reflink-refused.ts'
import { METHODS, type Method, type Way } from './strategy.ts'

const { EXDEV, EOPNOTSUPP, ENOTTY, ENOSYS } = os.errno
/** What the whole pair of library and space answers alike; any other refusal is of one file. */
const PAIR_REFUSALS: readonly number[] = [EXDEV, EOPNOTSUPP, ENOTTY, ENOSYS]
const NOTHING = new Uint8Array(0)
/** A look at whether the run was stopped, while directories are awaited. */
const DIRECTORY_WAIT_MS = 50

export interface PlacerPlaces {
  /** Absolute path of the blobs' directory. */
  readonly library: string
  /** Absolute path of the space. */
  readonly space: string
  readonly spaceName: string
  readonly verification: Verification
  readonly umask: number
}

export class NativePlacer implements Disposable {
  readonly #libc = libc()
  readonly #texts: PlacementTexts
  readonly #cursor: DirectoryCursor
  readonly #blobs: BlobReader
  readonly #maker: FileMaker
  readonly #stamp = new Uint32Array(STAMP_LENGTH)
  #directory = -1

  /** @throws {HoloError} blame `host`: library or space cannot be entered */
  constructor(
    private readonly placements: SharedPlacements,
    private readonly places: PlacerPlaces,
    threadName: string,
  ) {
    this.#texts = new PlacementTexts(placements.text)
    this.#cursor = new DirectoryCursor(places.space)
    // A library may well be a link to another disk.
    const library = this.#libc.openat(AT_FDCWD, cString(places.library), O_DIRECTORY | O_CLOEXEC, 0)
    if (library < 0) throw hostError(`enter ${places.library}`, errnoError(this.#libc.errno()))
    this.#blobs = new BlobReader(placements, this.#texts, library, places)
    this.#maker = new FileMaker(placements, this.#texts, places.spaceName, threadName, places.umask)
  }

  /**
   * Place the next batch that nobody has taken.
   *
   * @returns false where there is none left, or the run was stopped
   * @throws {HoloError} blame `host`; code `reflink-refused`: only sharing was allowed, and cannot be had
   */
  async placeBatch(): Promise<boolean> {
    const { control, batchEnd, batchDirectory } = this.placements
    const batch = Atomics.add(control, NEXT_BATCH, 1)
    const end = batchEnd[batch]
    if (end === undefined) return false
    this.#waitForDirectory(batchDirectory[batch] ?? 0)
    for (let file = batch === 0 ? 0 : (batchEnd[batch - 1] ?? 0); file < end; file++) {
      if (Atomics.load(control, STOPPED) !== 0) return false
      const waiting = this.#place(file)
      if (waiting !== undefined) await waiting
    }
    return true
  }

  /** The thread that makes directories never waits: it has made them all by the time it places files. */
  #waitForDirectory(directory: number): void {
    const { control } = this.placements
    for (;;) {
      const ready = Atomics.load(control, DIRECTORIES_READY)
      if (ready > directory || Atomics.load(control, STOPPED) !== 0) return
      Atomics.wait(control, DIRECTORIES_READY, ready, DIRECTORY_WAIT_MS)
    }
  }

  #place(file: number): Promise<void> | undefined {
    this.#enter(this.placements.fileDirectory[file] ?? 0)
    const blob = this.placements.fileBlob[file] ?? NO_BLOB
    if (blob === NO_BLOB) {
      this.#fill(file, () => 'empty')
      return
    }
    const known = this.placements.blobState[blob]
    if (known === BLOB_CORRUPT || known === BLOB_ABSENT) {
      this.#note(file, known === BLOB_CORRUPT ? 'corrupt' : 'absent')
      return
    }
    const way = WAYS[this.placements.fileWay[file] ?? 0] ?? 'share'
    const links = way === 'link' || way === 'symlink'
    if (links && this.#blobs.isTrusted(blob) && this.#link(file, blob, way)) return
    const descriptor = this.#blobs.open(blob)
    if (descriptor === undefined) {
      this.#note(file, 'absent')
      return
    }
    let waiting: Promise<void> | undefined
    try {
      waiting = this.#placeOpen(file, blob, way, descriptor)
    } finally {
      if (waiting === undefined) this.#libc.close(descriptor)
    }
    return waiting?.finally(() => this.#libc.close(descriptor))
  }

  #placeOpen(file: number, blob: number, way: Way, descriptor: number): Promise<void> | undefined {
    const verdict = this.#blobs.examine(descriptor, blob, this.placements.fileSize[file] ?? 0)
    if (verdict === 'streamed') return this.#stream(file, blob, descriptor)
    if (verdict !== 'right') {
      this.#note(file, verdict)
      return
    }
    if ((way === 'link' || way === 'symlink') && this.#link(file, blob, way)) return
    if (this.placements.blobForm[blob] === FORM_GZIP) {
      this.#fill(file, () => this.#fillDecoded(file, this.#blobs.content ?? NOTHING))
      return
    }
    this.#fill(file, () => this.#fillRaw(file, way, descriptor))
  }

  #fillDecoded(file: number, content: Uint8Array): Method {
    this.#maker.write(content, 0, file)
    if (!beginsLikeGzip(content)) Atomics.add(this.placements.control, COULD_BE_RAW, 1)
    return 'decoded'
  }

  /** @returns by which primitive the bytes came */
  #fillRaw(file: number, way: Way, descriptor: number): Method {
    const { control } = this.placements
    if (way !== 'write') {
      const refusal = control[NO_REFLINK] || this.#maker.share(descriptor)
      if (refusal === 0) return 'reflinked'
      this.#refused(file, NO_REFLINK, refusal)
      if (way === 'share-only') throw new ReflinkRefusedError(this.places, errnoName(refusal))
      // What is in memory anyway is written as fast as it is copied.
      if (this.#blobs.content === undefined) {
        const denied = control[NO_RANGE] || this.#maker.copyWithin(descriptor, file)
        if (denied === 0) return 'copied'
        this.#refused(file, NO_RANGE, denied)
      }
    }
    if (this.#blobs.content !== undefined) this.#maker.write(this.#blobs.content, 0, file)
    else
      this.#blobs.each(descriptor, this.placements.fileBlob[file] ?? 0, (bytes, at) =>
        this.#maker.write(bytes, at, file),
      )
    return 'written'
  }

  /** Make the file around `work`, which tells by which method it filled it. */
  #fill(file: number, work: () => Method): void {
    this.#maker.create(file)
    try {
      const method = work()
      this.#maker.finish(file)
      this.#note(file, method)
    } catch (error) {
      this.#maker.abandon(file)
      throw error
    }
  }

  /** A large gzip blob, with memory for some chunks. */
  async #stream(file: number, blob: number, descriptor: number): Promise<void> {
    const sizeBytes = this.placements.fileSize[file] ?? 0
    const digest = this.#blobs.digestOf(blob)
    const hasher = hasherFor(digest)
    const stamp = this.#blobs.stamp()
    this.#maker.create(file, false)
    try {
      let at = 0
      let right = false
      try {
        for await (const chunk of gunzipStream(this.#blobs.chunks(descriptor, blob), sizeBytes)) {
          if (at === 0 && !beginsLikeGzip(chunk)) Atomics.add(this.placements.control, COULD_BE_RAW, 1)
          hasher.update(chunk)
          this.#maker.write(chunk, at, file)
          at += chunk.byteLength
          freeNow(chunk)
          if (Atomics.load(this.placements.control, STOPPED) !== 0) break
        }
        right = at === sizeBytes && hasher.digest() === digest
      } catch (error) {
        if (!(error instanceof GzipError)) throw error
      }
      if (right) {
        this.#maker.finish(file)
        this.#blobs.accept(blob, stamp)
        this.#note(file, 'decoded')
        return
      }
      this.#maker.abandon(file)
      if (Atomics.load(this.placements.control, STOPPED) !== 0) return
      this.placements.blobState[blob] = BLOB_CORRUPT
      this.#note(file, 'corrupt')
    } catch (error) {
      this.#maker.abandon(file)
      throw error
    }
  }

  /** Of a blob that was just looked at. @returns false where the file has to come to its content another way */
  #link(file: number, blob: number, way: 'link' | 'symlink'): boolean {
    const { control, blobForm, blobName } = this.placements
    if (blobForm[blob] === FORM_GZIP) return false
    if (control[NO_LINK] && way === 'link') {
      this.#refused(file, NO_LINK, control[NO_LINK])
      return false
    }
    const name = this.#texts.pointer(blobName[blob] ?? 0)
    if (!this.#dress(blob, this.placements.fileMode[file] ?? 0, way)) {
      this.placements.refusal[file] = MODE_REFUSAL
      return false
    }
    const refusal =
      way === 'link'
        ? this.#maker.link(this.#blobs.directory, name, file, (status) => this.#isLinked(blob, status))
        : this.#maker.symlink(`${this.places.library}/${this.#blobs.nameOf(blob)}`, file)
    if (refusal !== 0) {
      if (refusal === os.errno.ENOSPC) throw hostError(`write ${this.#maker.pathOf(file)}`, errnoError(refusal))
      this.#refused(file, NO_LINK, refusal)
      return false
    }
    this.#note(file, way === 'link' ? 'hardlinked' : 'symlinked')
    return true
  }

  /**
   * Whether a link is one of the file that was found right: it may have been replaced by its other form meanwhile. Linking
   * and dressing changed its ctime, so the stamp is renewed.
   */
  #isLinked(blob: number, status: Status): boolean {
    const { blobStamp, blobState } = this.placements
    const known = blobState[blob] === BLOB_NOTED || blobState[blob] === BLOB_RENEWED
    // Without verification there is nothing to compare with.
    if (!known) return this.places.verification === 'skip'
    status.copyStamp(this.#stamp, 0)
    if (!sameInode(this.#stamp, 0, blobStamp, blob * STAMP_LENGTH)) return false
    blobStamp.set(this.#stamp, blob * STAMP_LENGTH)
    blobState[blob] = BLOB_RENEWED
    return true
  }

  /**
   * Give a blob that is linked the recorded mode, and rcc's fixed time where it becomes the file itself: both belong to
   * the inode.
   *
   * @returns false where that cannot be, or would change files of other spaces
   */
  #dress(blob: number, mode: number, way: 'link' | 'symlink'): boolean {
    const name = this.#texts.pointer(this.placements.blobName[blob] ?? 0)
    const { directory, status } = this.#blobs
    const timed = way === 'symlink' || status.mtimeMs === RESTORED_TIME_MS
    if (status.mode !== mode) {
      const used = way === 'link' ? status.links > 1 : !UNUSED_MODES.includes(status.mode)
      if (used || this.#libc.fchmodat(directory, name, mode, 0) !== 0) return false
    }
    return timed || this.#libc.utimensat(directory, name, this.#maker.times, 0) === 0
  }

  #enter(directory: number): void {
    if (directory === this.#directory) return
    const path = this.#texts.string(this.placements.directoryPath[directory] ?? 0)
    const { space } = this.places
    this.#maker.enter(
      this.#cursor.enter(path),
      path === '' ? space : `${space}/${path}`,
      this.placements.directoryFresh[directory] === 1,
    )
    this.#directory = directory
  }

  #refused(file: number, pair: number, errno: number): void {
    // The first one counts: it is what the strategy wanted.
    this.placements.refusal[file] ||= errno
    if (PAIR_REFUSALS.includes(errno)) this.placements.control[pair] = errno
  }

  #note(file: number, method: Method): void {
    this.placements.method[file] = 1 + METHODS.indexOf(method)
  }

  [Symbol.dispose](): void {
    this.#cursor[Symbol.dispose]()
    this.#blobs[Symbol.dispose]()
  }
}
