/**
 * SipHash-2-4 in its 64-bit and 128-bit forms, and the three ways in which rcc keys it (formats.md §2).
 *
 * Guarantees the same digits as rcc, streamed in chunks of any size. 64-bit words are pairs of 32-bit integers, since
 * BigInt in the inner loop is a hundred times slower. It is no proof of anything: the keys are published.
 */
import type { Digest, Hasher } from '../blob/digest.ts'

/** A key: two unsigned 64-bit integers. */
export interface SipKey {
  readonly k0: bigint
  readonly k1: bigint
}

const BLUEPRINT_KEY: SipKey = { k0: 9007199254740993n, k1: 2147483647n }
const USER_KEY: SipKey = { k0: 9007799254740993n, k1: 2147487647n }
/** Two little-endian halves of the 16 ASCII bytes `Very_Random-Seed`. */
const CONTENT_KEY: SipKey = keyOfBytes(new TextEncoder().encode('Very_Random-Seed'))

const BLOCK_BYTES = 8
const encoder = new TextEncoder()

/** Read a 16-byte key as two little-endian halves. @throws {RangeError} `bytes` is not 16 long */
export function keyOfBytes(bytes: Uint8Array): SipKey {
  if (bytes.byteLength !== 16) throw new RangeError(`a SipHash key has 16 bytes, not ${bytes.byteLength}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16)
  return { k0: view.getBigUint64(0, true), k1: view.getBigUint64(8, true) }
}

/** SipHash-2-4, 64 bit, as an unsigned integer. */
export function sip64(bytes: Uint8Array, key: SipKey): bigint {
  const sip = new SipState(key, 64)
  sip.update(bytes)
  return sip.finish64()
}

/** SipHash-2-4, 128 bit, as 32 hex digits: the two halves in little-endian order. */
export function sip128(bytes: Uint8Array, key: SipKey): string {
  const sip = new SipState(key, 128)
  sip.update(bytes)
  return sip.finish128()
}

/** rcc's blueprint hash of `text`; also of controllers, spaces and platforms. @returns 16 hex digits */
export function blueprintHash(text: string): string {
  return sip64(encoder.encode(text), BLUEPRINT_KEY).toString(16).padStart(16, '0')
}

/** rcc's hash of a home directory. @returns hex digits without padding, 16 or, rarely, fewer */
export function userHash(home: string): string {
  return sip64(encoder.encode(home), USER_KEY).toString(16)
}

/** Incremental digest of one blob of a `compress.no` library: 32 hex digits. */
export function sip128Hasher(): Hasher {
  const sip = new SipState(CONTENT_KEY, 128)
  return {
    update: (bytes) => sip.update(bytes),
    digest: () => sip.finish128() as Digest,
  }
}

/** The four words of the state, low and high halves in turn: v0 low, v0 high, v1 low … */
class SipState {
  readonly #words = new Int32Array(8)
  readonly #tail = new Uint8Array(BLOCK_BYTES)
  readonly #tailView = new DataView(this.#tail.buffer)
  #tailBytes = 0
  /** Only its lowest byte gets into the hash. */
  #totalBytes = 0

  constructor({ k0, k1 }: SipKey, bits: 64 | 128) {
    const start = [
      k0 ^ 0x736f6d6570736575n,
      k1 ^ (bits === 128 ? 0x646f72616e646f6dn ^ 0xeen : 0x646f72616e646f6dn),
      k0 ^ 0x6c7967656e657261n,
      k1 ^ 0x7465646279746573n,
    ]
    for (const [index, word] of start.entries()) {
      this.#words[2 * index] = Number(BigInt.asIntN(32, word))
      this.#words[2 * index + 1] = Number(BigInt.asIntN(32, word >> 32n))
    }
  }

  update(bytes: Uint8Array): void {
    this.#totalBytes = (this.#totalBytes + bytes.byteLength) & 0xff
    let offset = 0
    if (this.#tailBytes > 0) {
      offset = Math.min(BLOCK_BYTES - this.#tailBytes, bytes.byteLength)
      this.#tail.set(bytes.subarray(0, offset), this.#tailBytes)
      this.#tailBytes += offset
      if (this.#tailBytes < BLOCK_BYTES) return
      compress(this.#words, this.#tailView, 0, BLOCK_BYTES)
      this.#tailBytes = 0
    }
    const blocksEnd = bytes.byteLength - ((bytes.byteLength - offset) % BLOCK_BYTES)
    if (blocksEnd > offset) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      compress(this.#words, view, offset, blocksEnd)
    }
    this.#tail.set(bytes.subarray(blocksEnd))
    this.#tailBytes = bytes.byteLength - blocksEnd
  }

  finish64(): bigint {
    this.#finishBlocks(0xff)
    return this.#folded()
  }

  finish128(): string {
    this.#finishBlocks(0xee)
    const first = littleEndianHex(this.#folded())
    this.#words[2] = (this.#words[2] ?? 0) ^ 0xdd
    rounds(this.#words, 4)
    return first + littleEndianHex(this.#folded())
  }

  #finishBlocks(mark: number): void {
    this.#tail.fill(0, this.#tailBytes)
    this.#tail[BLOCK_BYTES - 1] = this.#totalBytes
    compress(this.#words, this.#tailView, 0, BLOCK_BYTES)
    this.#words[4] = (this.#words[4] ?? 0) ^ mark
    rounds(this.#words, 4)
  }

  /** v0 ^ v1 ^ v2 ^ v3. */
  #folded(): bigint {
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = this.#words
    return (BigInt((b ^ d ^ f ^ h) >>> 0) << 32n) | BigInt((a ^ c ^ e ^ g) >>> 0)
  }
}

function littleEndianHex(word: bigint): string {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, word, true)
  return bytes.toHex()
}

/** Take in the 8-byte blocks of `view` from `start` to `end`: two rounds each. */
function compress(words: Int32Array, view: DataView, start: number, end: number): void {
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = words
  for (let offset = start; offset < end; offset += BLOCK_BYTES) {
    const low = view.getInt32(offset, true)
    const high = view.getInt32(offset + 4, true)
    g ^= low
    h ^= high
    // A round, twice; the state stays in locals, which is what makes this fast.
    for (let round = 0; round < 2; round++) {
      // v0 += v1; v1 <<<= 13; v1 ^= v0; v0 <<<= 32
      let sum = (a + c) | 0
      b = (b + d + (sum >>> 0 < a >>> 0 ? 1 : 0)) | 0
      let turned = (c << 13) | (d >>> 19)
      d = ((d << 13) | (c >>> 19)) ^ b
      c = turned ^ sum
      a = b
      b = sum
      // v2 += v3; v3 <<<= 16; v3 ^= v2
      sum = (e + g) | 0
      f = (f + h + (sum >>> 0 < e >>> 0 ? 1 : 0)) | 0
      e = sum
      turned = (g << 16) | (h >>> 16)
      h = ((h << 16) | (g >>> 16)) ^ f
      g = turned ^ e
      // v0 += v3; v3 <<<= 21; v3 ^= v0
      sum = (a + g) | 0
      b = (b + h + (sum >>> 0 < a >>> 0 ? 1 : 0)) | 0
      a = sum
      turned = (g << 21) | (h >>> 11)
      h = ((h << 21) | (g >>> 11)) ^ b
      g = turned ^ a
      // v2 += v1; v1 <<<= 17; v1 ^= v2; v2 <<<= 32
      sum = (e + c) | 0
      f = (f + d + (sum >>> 0 < e >>> 0 ? 1 : 0)) | 0
      turned = (c << 17) | (d >>> 15)
      d = ((d << 17) | (c >>> 15)) ^ f
      c = turned ^ sum
      e = f
      f = sum
    }
    a ^= low
    b ^= high
  }
  words.set([a, b, c, d, e, f, g, h])
}

const zeroBlock = new DataView(new ArrayBuffer(BLOCK_BYTES))

/** An even number of rounds without input: a block of zeros is two of them. */
function rounds(words: Int32Array, count: 2 | 4): void {
  for (let done = 0; done < count; done += 2) compress(words, zeroBlock, 0, BLOCK_BYTES)
}
