/**
 * The bytes of a planned zip, or of a range of it, made while they are sent: no file, and memory for some chunks.
 *
 * A member that is not as it was planned (rcc's clean-up took it, `optimize` gave it its other form) ends the zip in
 * the middle: its length was told already, so the client sees that it is not whole.
 */
import { crc32 } from 'node:zlib'
import { nextTurn } from '../base/clock.ts'
import { BLOB_WHOLE_BYTES_MAX, CHUNK_BYTES } from '../base/limits.ts'
import type { StoredBlob } from '../blob/local.ts'
import { blobChanged } from './blob-changed.ts'
import type { ByteRange } from './byte-range.ts'
import type { ZipLayout } from './zip-layout.ts'

/** Opens the bytes of a member. @returns undefined where they have gone */
export type OpenMember = (index: number) => StoredBlob | undefined

/**
 * @returns the bytes of `range`, in chunks that belong to the caller
 * @throws {HoloError} while iterating: code `blob-changed`, a member is not as planned; blame `host` as `open`
 * @throws `signal.reason` once `signal` aborts
 */
export async function* zipBytes(
  layout: ZipLayout,
  range: ByteRange,
  open: OpenMember,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const sums = new Checksums(layout, open)
  const out = new ChunkJoiner(range)
  const first = layout.memberAt(range.from)
  out.skipTo(layout.offsetOf(first))
  for (let index = first; index < layout.members.length && layout.offsetOf(index) < range.end; index++) {
    out.add(layout.localHeader(index))
    using blob = sums.open(index)
    let sum = 0
    if (isSmall(blob)) {
      const whole = blob.whole()
      sum = crc32(whole)
      out.add(whole)
      if (out.isFull) yield out.take()
    } else {
      for await (const chunk of blob.bytes()) {
        signal.throwIfAborted()
        sum = crc32(chunk, sum)
        out.add(chunk)
        if (out.isFull) yield out.take()
      }
    }
    sums.note(index, sum)
    out.add(layout.descriptor(index, sum))
    if (out.isFull) yield out.take()
  }
  if (range.end > layout.directoryAt) {
    for (let index = 0; index < layout.members.length; index++) {
      signal.throwIfAborted()
      out.add(layout.directoryRecord(index, sums.known(index) ?? (await sums.computed(index))))
      if (out.isFull) yield out.take()
    }
    out.add(layout.end())
  }
  if (out.hasBytes) yield out.take()
}

/** Checksums of the members: of those that went out they are known, of those before a range they are computed. */
class Checksums {
  readonly #sums: Uint32Array
  readonly #known: Uint8Array

  constructor(
    private readonly layout: ZipLayout,
    private readonly openMember: OpenMember,
  ) {
    this.#sums = new Uint32Array(layout.members.length)
    this.#known = new Uint8Array(layout.members.length)
  }

  open(index: number): StoredBlob {
    const member = this.layout.members[index]
    const blob = this.openMember(index)
    if (blob !== undefined && blob.sizeBytes === member?.sizeBytes) return blob
    blob?.[Symbol.dispose]()
    throw blobChanged(String(member?.name))
  }

  note(index: number, sum: number): void {
    this.#sums[index] = sum
    this.#known[index] = 1
  }

  known(index: number): number | undefined {
    return this.#known[index] === 1 ? this.#sums[index] : undefined
  }

  async computed(index: number): Promise<number> {
    using blob = this.open(index)
    if (index % 64 === 0) await nextTurn()
    if (isSmall(blob)) return crc32(blob.whole())
    let sum = 0
    for await (const chunk of blob.bytes()) sum = crc32(chunk, sum)
    return sum
  }
}

/** Small blobs are in memory already: most of them, so they come without a promise for each. */
function isSmall({ sizeBytes }: StoredBlob): boolean {
  return sizeBytes <= BLOB_WHOLE_BYTES_MAX
}

/** Cuts a range out of pieces that come in a row, and joins small ones, so that a socket gets few large chunks. */
class ChunkJoiner {
  #position = 0
  #chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  #filled = 0
  #large: Uint8Array | undefined

  constructor(private readonly range: ByteRange) {}

  /** The next piece begins at `position`. */
  skipTo(position: number): void {
    this.#position = position
  }

  /** `take` whenever this is true. */
  get isFull(): boolean {
    return this.#large !== undefined || this.#filled > CHUNK_BYTES / 2
  }

  get hasBytes(): boolean {
    return this.#large !== undefined || this.#filled > 0
  }

  add(piece: Uint8Array): void {
    const from = Math.max(0, this.range.from - this.#position)
    const end = Math.min(piece.byteLength, this.range.end - this.#position)
    this.#position += piece.byteLength
    if (from >= end) return
    const wanted = piece.subarray(from, end)
    if (this.#filled + wanted.byteLength > CHUNK_BYTES) {
      this.#large = wanted
      return
    }
    this.#chunk.set(wanted, this.#filled)
    this.#filled += wanted.byteLength
  }

  take(): Uint8Array {
    const small = this.#chunk.subarray(0, this.#filled)
    const large = this.#large
    this.#large = undefined
    this.#filled = 0
    if (large !== undefined && small.byteLength === 0) return large
    this.#chunk = Buffer.allocUnsafe(CHUNK_BYTES)
    return large === undefined ? small : Buffer.concat([small, large])
  }
}
