/**
 * Where a file contains the stage's name: the offsets at which a restore writes the space's name (formats.md §6).
 *
 * Finds each occurrence once, also those at the end of a file that rcc's own scan passes over, whatever the chunks are
 * that the file comes in. Memory: the offsets, and less than one occurrence. Pure; it knows nothing of files.
 */

export class Locator {
  /** Where each occurrence begins, ascending; grows with `update`. */
  readonly offsets: number[] = []
  readonly #wanted: Buffer
  /** Bytes before the next chunk that an occurrence may have begun in: fewer than it has. */
  #seam: Buffer = Buffer.alloc(0)
  #positionBytes = 0

  /** @throws {RangeError} `text` is empty: it would be everywhere */
  constructor(text: string) {
    if (text === '') throw new RangeError('nothing to look for')
    this.#wanted = Buffer.from(text)
  }

  /** Look at the next bytes of the file; the caller may reuse `chunk` afterwards. */
  update(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const reach = this.#wanted.byteLength - 1
    if (this.#seam.byteLength > 0) {
      // Too short on both sides for an occurrence of its own, so what is found here spans the two.
      const joint = Buffer.concat([this.#seam, bytes.subarray(0, reach)])
      this.#collect(joint, this.#positionBytes - this.#seam.byteLength)
    }
    this.#collect(bytes, this.#positionBytes)
    this.#positionBytes += bytes.byteLength
    const recent =
      bytes.byteLength < reach
        ? Buffer.concat([this.#seam, bytes])
        : Buffer.from(bytes.subarray(bytes.byteLength - reach))
    this.#seam = recent.subarray(Math.max(0, recent.byteLength - reach))
  }

  #collect(bytes: Buffer, positionBytes: number): void {
    for (let at = bytes.indexOf(this.#wanted); at >= 0; at = bytes.indexOf(this.#wanted, at + 1)) {
      this.offsets.push(positionBytes + at)
    }
  }
}
