/**
 * Which pieces of one environment somebody holds: one bit each.
 *
 * On the wire piece 0 is the highest bit of the first byte, and the bits after the last piece are zero. Knows nothing
 * of what a piece is.
 */
import { violation } from './wire.ts'

export class Bitfield {
  readonly #bytes: Uint8Array
  #count = 0

  /** @param length number of pieces; none of them is held at first */
  constructor(readonly length: number) {
    this.#bytes = new Uint8Array(byteLengthOf(length))
  }

  /** All of `length` pieces. */
  static full(length: number): Bitfield {
    const field = new Bitfield(length)
    for (let piece = 0; piece < length; piece++) field.add(piece)
    return field
  }

  /**
   * @param bytes of the wire, copied
   * @param length number of pieces that the catalog has
   * @throws {HoloError} `protocol-violation` where they are too many or too few, or a bit after the last piece is set
   */
  static read(bytes: Uint8Array, length: number): Bitfield {
    if (bytes.byteLength !== byteLengthOf(length)) {
      throw violation(`a bitfield of ${bytes.byteLength} bytes for ${length} pieces`)
    }
    const field = new Bitfield(length)
    for (const [at, byte] of bytes.entries()) {
      if (byte === 0) continue
      for (let bit = 0; bit < 8; bit++) {
        if ((byte & (0x80 >> bit)) === 0) continue
        if (at * 8 + bit >= length) throw violation(`a bitfield that goes beyond its ${length} pieces`)
        field.add(at * 8 + bit)
      }
    }
    return field
  }

  /** How many are held. */
  get count(): number {
    return this.#count
  }

  get isFull(): boolean {
    return this.#count === this.length
  }

  /** False beyond the last piece, too. */
  has(piece: number): boolean {
    return ((this.#bytes[piece >> 3] ?? 0) & (0x80 >> (piece & 7))) !== 0
  }

  /** @returns whether that is new; a piece beyond the last one is not added */
  add(piece: number): boolean {
    if (piece < 0 || piece >= this.length || this.has(piece)) return false
    this.#bytes[piece >> 3] = (this.#bytes[piece >> 3] ?? 0) | (0x80 >> (piece & 7))
    this.#count++
    return true
  }

  /** @returns whether it was held */
  delete(piece: number): boolean {
    if (piece < 0 || piece >= this.length || !this.has(piece)) return false
    this.#bytes[piece >> 3] = (this.#bytes[piece >> 3] ?? 0) & ~(0x80 >> (piece & 7))
    this.#count--
    return true
  }

  copy(): Bitfield {
    return Bitfield.read(this.#bytes, this.length)
  }

  /** The form of the wire, a copy. */
  bytes(): Uint8Array {
    return this.#bytes.slice()
  }
}

function byteLengthOf(length: number): number {
  return Math.ceil(length / 8)
}
