/**
 * Packs a plan's files into shared memory, one directory after another, so that a second thread can place the first ones
 * while the rest is still packed and its directories are made.
 *
 * All room is taken at once, by counts that bound what is needed: nothing moves once the other thread looks at it.
 */
import { STAMP_LENGTH } from '../base/file-stamp.ts'
import type { Digest } from '../blob/digest.ts'
import type { BlobTree } from '../blob/local.ts'
import type { BlobNotes } from '../blob/notes.ts'
import { EmptyDigests } from './empty-digests.ts'
import {
  BLOB_NOTED,
  CONTROL_WORDS,
  DIRECTORIES_READY,
  FORM_GZIP,
  FORM_RAW,
  NO_BLOB,
  type SharedPlacements,
  WAYS,
} from './placements.ts'
import type { DirectoryStep, FileStep } from './plan.ts'
import type { Way } from './strategy.ts'

/** A batch ends with the first directory that makes it this long; a larger directory makes several. */
const BATCH_FILES = 64
const BATCH_FILES_MAX = 256
/** And so does the file that makes it this large: signals are heard between batches, and threads share the large ones. */
const BATCH_BYTES = 32 * 1024 * 1024
/** A UTF-16 unit takes three bytes of UTF-8 at the most. */
const UTF8_BYTES_MAX = 3

export interface PlacementBlobs {
  readonly tree: BlobTree
  /** Undefined: no blob counts as verified. */
  readonly notes: BlobNotes | undefined
}

export class PlacementWriter {
  readonly placements: SharedPlacements
  readonly #text: Buffer
  readonly #blobs = new Map<Digest, number>()
  readonly #empty = new EmptyDigests()
  #textBytes = 0
  #directories = 0
  #files = 0
  #rewrites = 0

  /** @param steps all that will be added, in order; those without files are passed over */
  constructor(
    steps: readonly DirectoryStep[],
    private readonly from: PlacementBlobs,
  ) {
    const { directories, files, rewrites, textBytes } = roomFor(steps, from.tree)
    const text = sharedBytes(textBytes)
    this.#text = Buffer.from(text.buffer, 0, text.byteLength)
    this.placements = {
      control: new Int32Array(new SharedArrayBuffer(4 * CONTROL_WORDS)),
      text,
      directoryPath: sharedWords(directories),
      directoryFresh: sharedBytes(directories),
      ...batchesOf(steps),
      fileName: sharedWords(files),
      fileDirectory: sharedWords(files),
      fileBlob: sharedWords(files),
      fileSize: sharedDoubles(files),
      fileMode: new Uint16Array(new SharedArrayBuffer(2 * Math.max(1, files)), 0, files),
      fileWay: sharedBytes(files),
      rewriteEnd: sharedWords(files),
      rewrites: sharedDoubles(rewrites),
      blobName: sharedWords(files),
      blobState: sharedBytes(files),
      blobForm: sharedBytes(files),
      blobStamp: sharedWords(files * STAMP_LENGTH),
      method: sharedBytes(files),
      refusal: sharedBytes(files),
    }
  }

  /** Pack the files of a directory that stands, and let them be placed. @param wayOf asked once for each file, in order */
  add(step: DirectoryStep, wayOf: (file: FileStep) => Way): void {
    if (step.files.length === 0) return
    const { control, directoryPath, directoryFresh } = this.placements
    const directory = this.#directories++
    directoryPath[directory] = this.#write(step.path)
    directoryFresh[directory] = step.make ? 1 : 0
    for (const file of step.files) this.#addFile(file, directory, wayOf(file))
    Atomics.store(control, DIRECTORIES_READY, this.#directories)
    Atomics.notify(control, DIRECTORIES_READY)
  }

  #addFile(file: FileStep, directory: number, way: Way): void {
    const { placements } = this
    const index = this.#files++
    placements.fileName[index] = this.#write(file.name)
    placements.fileDirectory[index] = directory
    placements.fileBlob[index] = this.#empty.isOf(file) ? NO_BLOB : this.#blobOf(file.digest)
    placements.fileSize[index] = file.sizeBytes
    placements.fileMode[index] = file.mode
    placements.fileWay[index] = WAYS.indexOf(way)
    for (const offset of file.rewrite) placements.rewrites[this.#rewrites++] = offset
    placements.rewriteEnd[index] = this.#rewrites
  }

  #blobOf(digest: Digest): number {
    const known = this.#blobs.get(digest)
    if (known !== undefined) return known
    const { tree, notes } = this.from
    const { blobName, blobState, blobForm, blobStamp } = this.placements
    const blob = this.#blobs.size
    this.#blobs.set(digest, blob)
    blobName[blob] = this.#write(tree.nameOf(digest))
    const form = notes?.find(digest, blobStamp, blob * STAMP_LENGTH)
    if (form !== undefined) {
      blobState[blob] = BLOB_NOTED
      blobForm[blob] = form === 'gzip' ? FORM_GZIP : FORM_RAW
    }
    return blob
  }

  /** @returns where the text stands; it ends with NUL */
  #write(text: string): number {
    const at = this.#textBytes
    this.#textBytes += this.#text.write(text, at) + 1
    return at
  }
}

function roomFor(steps: readonly DirectoryStep[], tree: BlobTree) {
  const room = { directories: 0, files: 0, rewrites: 0, textBytes: 0 }
  let beforeDigest = 0
  let digestLength = 0
  for (const { path, files } of steps) {
    if (files.length === 0) continue
    room.directories++
    room.files += files.length
    room.textBytes += UTF8_BYTES_MAX * path.length + 1
    for (const { name, rewrite, digest } of files) {
      // A directory in front of the digest takes as much for one as for another.
      beforeDigest ||= tree.nameOf(digest).length - digest.length
      digestLength = Math.max(digestLength, digest.length)
      room.rewrites += rewrite.length
      room.textBytes += UTF8_BYTES_MAX * name.length + 1
    }
  }
  room.textBytes += room.files * (beforeDigest + digestLength + 1)
  return room
}

/** Where each batch ends, and its last directory; files of one directory stay together where they are few. */
function batchesOf(steps: readonly DirectoryStep[]): Pick<SharedPlacements, 'batchEnd' | 'batchDirectory'> {
  const ends: number[] = []
  const directories: number[] = []
  let directory = -1
  let at = 0
  let begun = 0
  let bytes = 0
  const cut = () => {
    ends.push(at)
    directories.push(directory)
    begun = at
    bytes = 0
  }
  for (const { files } of steps) {
    if (files.length > 0) directory++
    for (const { sizeBytes } of files) {
      at++
      bytes += sizeBytes
      if (at - begun >= BATCH_FILES_MAX || bytes >= BATCH_BYTES) cut()
    }
    if (at - begun >= BATCH_FILES) cut()
  }
  if (at > begun) cut()
  const batchEnd = sharedWords(ends.length)
  const batchDirectory = sharedWords(ends.length)
  batchEnd.set(ends)
  batchDirectory.set(directories)
  return { batchEnd, batchDirectory }
}

function sharedBytes(length: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(Math.max(1, length)), 0, length)
}

function sharedWords(length: number): Uint32Array {
  return new Uint32Array(new SharedArrayBuffer(4 * Math.max(1, length)), 0, length)
}

function sharedDoubles(length: number): Float64Array {
  return new Float64Array(new SharedArrayBuffer(8 * Math.max(1, length)), 0, length)
}
