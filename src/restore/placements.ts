/**
 * The files of a plan, packed into shared memory: what two threads place from, and where they note what became of it.
 *
 * Strings end with NUL and are handed to the system by address. Files lie in the order of the plan, in batches that
 * each belong to one directory or to a few, so that two threads seldom meet in one. Knows nothing of how files are
 * placed.
 */
import { type Pointer, ptr } from 'bun:ffi'
import type { Way } from './strategy.ts'

/** Codes of `fileWay`. */
export const WAYS: readonly Way[] = ['share', 'share-only', 'write', 'link', 'symlink']

/** What is known of a blob, 0 for nothing; a thread that finds out more says so here, for the other one too. */
/** Verified before: right, while its file bears the stamp. */
export const BLOB_NOTED = 1
/** Verified in this run, or linked: the same, and the stamp is to be noted. */
export const BLOB_RENEWED = 2
export const BLOB_CORRUPT = 3
export const BLOB_ABSENT = 4

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
/** errno that a primitive failed with for this pair of library and space, and is not tried again after. */
export const NO_REFLINK = 2
export const NO_RANGE = 3
export const NO_LINK = 4
/** Directories that stand and whose files are packed, in the order of the placements: files of others must wait. */
export const DIRECTORIES_READY = 7
/** 0: free; 1: the second thread works; 2: it came too late and is not to begin. */
export const THREAD_STATE = 5
/** Files decoded from gzip blobs that need not be gzip. */
export const COULD_BE_RAW = 6
export const CONTROL_WORDS = 8

/** Everything that goes to the other thread: shared arrays, copied by reference. */
export interface SharedPlacements {
  readonly control: Int32Array
  readonly text: Uint8Array
  readonly directoryPath: Uint32Array
  /** 1: made by this run, so nothing stands there yet. */
  readonly directoryFresh: Uint8Array
  readonly batchEnd: Uint32Array
  /** The last directory of a batch: it waits for that one. Known before anything is packed, unlike `fileDirectory`. */
  readonly batchDirectory: Uint32Array
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
