/**
 * The files of a plan, packed into shared memory: what two threads place from, and where they note what became of it.
 *
 * Strings end with NUL and are handed to the system by address. Files lie in the order of the plan, in batches that
 * each belong to one directory or to a few, so that two threads seldom meet in one. Knows nothing of how files are
 * placed.
 */
import { type Pointer, ptr } from 'bun:ffi'
import { HoloError } from '../base/errors.ts'
import { STAMP_LENGTH } from '../base/file-stamp.ts'
import type { Digest } from '../blob/digest.ts'
import type { BlobTree } from '../blob/local.ts'
import type { BlobNotes } from '../blob/notes.ts'
import { IDENTITY_BYTES } from '../catalog/relocation.ts'
import { EmptyDigests } from './empty-digests.ts'
import type { DirectoryStep, FileStep } from './plan.ts'
import type { Way } from './strategy.ts'

/** A batch ends with the first directory that makes it this long; a larger directory makes several. */
const BATCH_FILES = 64
const BATCH_FILES_MAX = 256

export const WAYS: readonly Way[] = ['share', 'share-only', 'write', 'link', 'symlink']

/** What is known of a blob; a thread that finds out more says so here, for the other one too. */
export const BLOB_UNKNOWN = 0
/** Verified before, if its file still bears the stamp. */
export const BLOB_NOTED = 1
/** Looked at in this run: right. */
export const BLOB_RIGHT = 2
export const BLOB_CORRUPT = 3
export const BLOB_ABSENT = 4
/** Right, and verified anew: its stamp is to be noted. */
export const BLOB_RENEWED = 5

export const FORM_RAW = 1
export const FORM_GZIP = 2

/** In place of an errno: the blob has a mode that other files depend on, or is not ours to change. */
export const MODE_REFUSAL = 255

/** In place of a blob's index: the file is empty, and its digest is that of nothing. */
export const NO_BLOB = 0xffff_ffff

/** Words of `control`. */
export const NEXT_BATCH = 0
/** 0 while the run goes on; else both threads stop before the next file. */
export const STOPPED = 1
export const PLACED = 2
/** errno that a primitive failed with for this pair of library and space, and is not tried again after. */
export const NO_REFLINK = 3
export const NO_RANGE = 4
export const NO_LINK = 5
/** 0: free; 1: the second thread works; 2: it came too late and is not to begin. */
export const THREAD_STATE = 6
/** Files decoded from gzip blobs that need not be gzip. */
export const COULD_BE_RAW = 7
const CONTROL_WORDS = 8

/** Everything that goes to the other thread: shared arrays, copied by reference. */
export interface SharedPlacements {
  readonly control: Int32Array
  readonly text: Uint8Array
  readonly directoryPath: Uint32Array
  /** 1: made by this run, so nothing stands there yet. */
  readonly directoryFresh: Uint8Array
  readonly batchEnd: Uint32Array
  readonly fileName: Uint32Array
  readonly fileDirectory: Uint32Array
  readonly fileBlob: Uint32Array
  readonly fileSize: Float64Array
  readonly fileMode: Uint16Array
  readonly fileWay: Uint8Array
  /** Offsets of file i: those from `rewriteEnd[i - 1]` to `rewriteEnd[i]`. */
  readonly rewriteEnd: Uint32Array
  readonly rewrites: Float64Array
  readonly blobName: Uint32Array
  readonly blobState: Uint8Array
  readonly blobForm: Uint8Array
  readonly blobStamp: Uint32Array
  /** 1 + index into METHODS; 0: not placed. */
  readonly method: Uint8Array
  /** errno that a primitive refused this file with, or MODE_REFUSAL. */
  readonly refusal: Uint8Array
}

/** Text that grows, then is copied to shared memory once. */
class TextBuilder {
  #bytes = new Uint8Array(64 * 1024)
  #length = 0
  readonly #encoder = new TextEncoder()

  /** @returns where the text stands; it ends with NUL */
  add(text: string): number {
    const at = this.#length
    // A UTF-16 unit takes three bytes of UTF-8 at the most.
    const end = at + 3 * text.length + 1
    if (end > this.#bytes.byteLength) {
      const grown = new Uint8Array(2 * end)
      grown.set(this.#bytes.subarray(0, at))
      this.#bytes = grown
    }
    this.#length += this.#encoder.encodeInto(text, this.#bytes.subarray(at)).written
    this.#bytes[this.#length++] = 0
    return at
  }

  share(): Uint8Array {
    const all = sharedBytes(this.#length)
    all.set(this.#bytes.subarray(0, this.#length))
    return all
  }
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

/**
 * Pack the files of `steps`.
 *
 * @param ways one for each file, in order
 * @param tree where the blobs lie @param notes none: no blob counts as verified
 * @throws {HoloError} blame `source`, code `catalog-invalid`: a relocation beyond the end of its file
 */
export function packPlacements(
  steps: readonly DirectoryStep[],
  ways: readonly Way[],
  { tree, notes }: { tree: BlobTree; notes: BlobNotes | undefined },
): SharedPlacements {
  const withFiles = steps.filter(({ files }) => files.length > 0)
  const files = withFiles.flatMap((step) => step.files)
  const blobs = new Map<Digest, number>()
  const nothing = new EmptyDigests()
  for (const file of files) if (!nothing.isOf(file) && !blobs.has(file.digest)) blobs.set(file.digest, blobs.size)
  const count = files.length
  const rewriteCount = files.reduce((sum, { rewrite }) => sum + rewrite.length, 0)
  const text = new TextBuilder()
  const packed = {
    control: new Int32Array(new SharedArrayBuffer(4 * CONTROL_WORDS)),
    directoryPath: sharedWords(withFiles.length),
    directoryFresh: sharedBytes(withFiles.length),
    fileName: sharedWords(count),
    fileDirectory: sharedWords(count),
    fileBlob: sharedWords(count),
    fileSize: sharedDoubles(count),
    fileMode: new Uint16Array(new SharedArrayBuffer(2 * Math.max(1, count)), 0, count),
    fileWay: sharedBytes(count),
    rewriteEnd: sharedWords(count),
    rewrites: sharedDoubles(rewriteCount),
    blobName: sharedWords(blobs.size),
    blobState: sharedBytes(blobs.size),
    blobForm: sharedBytes(blobs.size),
    blobStamp: sharedWords(blobs.size * STAMP_LENGTH),
    method: sharedBytes(count),
    refusal: sharedBytes(count),
  }
  let index = 0
  let rewriteAt = 0
  withFiles.forEach((step, directory) => {
    packed.directoryPath[directory] = text.add(step.path)
    packed.directoryFresh[directory] = step.make ? 1 : 0
    for (const file of step.files) {
      checkRewrites(step, file)
      packed.fileName[index] = text.add(file.name)
      packed.fileDirectory[index] = directory
      packed.fileBlob[index] = blobs.get(file.digest) ?? NO_BLOB
      packed.fileSize[index] = file.sizeBytes
      packed.fileMode[index] = file.mode
      packed.fileWay[index] = WAYS.indexOf(ways[index] ?? 'share')
      for (const offset of file.rewrite) packed.rewrites[rewriteAt++] = offset
      packed.rewriteEnd[index++] = rewriteAt
    }
  })
  for (const [digest, blob] of blobs) {
    packed.blobName[blob] = text.add(tree.nameOf(digest))
    const form = notes?.find(digest, packed.blobStamp, blob * STAMP_LENGTH)
    if (form === undefined) continue
    packed.blobState[blob] = BLOB_NOTED
    packed.blobForm[blob] = form === 'gzip' ? FORM_GZIP : FORM_RAW
  }
  return { ...packed, batchEnd: batchesOf(withFiles), text: text.share() }
}

/** Relocation must not make a file longer than its blob. */
function checkRewrites(step: DirectoryStep, { name, sizeBytes, rewrite }: FileStep): void {
  if (rewrite.every((offset) => offset + IDENTITY_BYTES <= sizeBytes)) return
  throw new HoloError(`The catalog relocates ${step.path}/${name} beyond its end`, {
    code: 'catalog-invalid',
    blame: 'source',
    hint: 'take it from another source, or let rcc record the environment again',
  })
}

function batchesOf(steps: readonly DirectoryStep[]): Uint32Array {
  const ends: number[] = []
  let at = 0
  let begun = 0
  for (const { files } of steps) {
    for (const end = at + files.length; at < end; ) {
      at = Math.min(end, begun + BATCH_FILES_MAX)
      if (at - begun < BATCH_FILES) continue
      ends.push(at)
      begun = at
    }
  }
  if (at > begun) ends.push(at)
  const batches = sharedWords(ends.length)
  batches.set(ends)
  return batches
}

/** One thread's view: addresses of the strings. */
export class PlacementTexts {
  readonly #address: number

  constructor(private readonly text: Uint8Array) {
    this.#address = Number(ptr(text))
  }

  /** For a system call; stays valid as long as the placements do. */
  pointer(at: number): Pointer {
    return (this.#address + at) as Pointer
  }

  string(at: number): string {
    return Buffer.from(this.text.subarray(at, this.text.indexOf(0, at))).toString()
  }
}
