/**
 * Notes that are made on one thread and kept on another: records back to back, to be handed over as one array
 * (`VerifiedNotes.addRecords`), instead of some objects for each of thousands of blobs.
 */
import type { FileStamp } from '../base/file-stamp.ts'
import type { Digest } from '../blob/digest.ts'
import type { BlobForm, BlobNotes } from '../blob/notes.ts'
import { NOTE_WORDS, writeNote } from './note-record.ts'

export class NoteRecords implements Pick<BlobNotes, 'add'> {
  #words = new Uint32Array(64 * NOTE_WORDS)
  #length = 0

  add(digest: Digest, form: BlobForm, stamp: FileStamp, at: number): void {
    if (this.#length === this.#words.length) {
      const grown = new Uint32Array(2 * this.#length)
      grown.set(this.#words)
      this.#words = grown
    }
    writeNote(this.#words.subarray(this.#length, this.#length + NOTE_WORDS), digest, form, stamp, at)
    this.#length += NOTE_WORDS
  }

  /** What was added since the last call, in an array of its own. */
  take(): Uint32Array<ArrayBuffer> {
    const taken = this.#words.slice(0, this.#length)
    this.#length = 0
    return taken
  }
}
