/**
 * Reads a zip file by its central directory, one entry at a time, in bounded memory.
 *
 * fflate inflates; the directory is read here, because fflate's streaming reader finds the end of an entry of unknown
 * length by searching for a signature, and rcc's zips (lengths only in the central directory) contain compressed data
 * in which that signature occurs by chance. Format: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3 (zip64).
 * Entries are found and read, nothing more: what a name means is the caller's affair.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { Inflate } from 'fflate'
import { HoloError, hostError, messageOf, systemCodeOf } from '../base/errors.ts'
import { CHUNK_BYTES, ZIP_DIRECTORY_BYTES_MAX, ZIP_ENTRIES_MAX } from '../base/limits.ts'

const END_SIGNATURE = 0x06054b50
const END64_LOCATOR_SIGNATURE = 0x07064b50
const END64_SIGNATURE = 0x06064b50
const ENTRY_SIGNATURE = 0x02014b50
const LOCAL_SIGNATURE = 0x04034b50
const END_BYTES = 22
const END64_LOCATOR_BYTES = 20
const END64_BYTES = 56
const ENTRY_BYTES = 46
const LOCAL_BYTES = 30
const COMMENT_BYTES_MAX = 0xffff
const U16_MAX = 0xffff
const U32_MAX = 0xffffffff
const STORED = 0
const DEFLATED = 8
const ENCRYPTED_FLAG = 1

export interface ZipEntry {
  readonly name: string
  /** Bytes in the zip. */
  readonly packedBytes: number
  /** Bytes that come out, as the directory claims; `read` stops at one more. */
  readonly sizeBytes: number
  readonly method: number
  readonly localOffset: number
}

export class ZipReader implements AsyncDisposable {
  /** By name; of two entries with one name the last counts, as with every unzip. */
  readonly entries: ReadonlyMap<string, ZipEntry>
  readonly #file: FileHandle
  readonly #path: string

  private constructor(path: string, file: FileHandle, entries: ReadonlyMap<string, ZipEntry>) {
    this.#path = path
    this.#file = file
    this.entries = entries
  }

  /**
   * @throws {HoloError} code `zip-missing` or `zip-invalid`, blame `input`: there is no such file, or it is no zip
   *   within the limits
   */
  static async open(path: string): Promise<ZipReader> {
    let file: FileHandle
    try {
      file = await open(path, 'r')
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT') throw hostError(`open ${path}`, error)
      throw new HoloError(`There is no file ${path}`, { code: 'zip-missing', blame: 'input', cause: error })
    }
    try {
      return new ZipReader(path, file, parseDirectory(path, await readDirectory(path, file)))
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /**
   * The decoded bytes of one entry, in order.
   *
   * @throws {HoloError} code `zip-invalid`, while iterating: the entry is damaged or longer than the directory says
   */
  async *read(entry: ZipEntry): AsyncGenerator<Uint8Array> {
    const local = await readExactly(this.#path, this.#file, entry.localOffset, LOCAL_BYTES)
    if (local.readUInt32LE(0) !== LOCAL_SIGNATURE)
      throw invalid(this.#path, `entry ${entry.name} is not where the directory says`)
    const start = entry.localOffset + LOCAL_BYTES + local.readUInt16LE(26) + local.readUInt16LE(28)
    const packed = this.#packed(start, entry.packedBytes)
    let total = 0
    for await (const chunk of entry.method === STORED ? packed : inflated(this.#path, entry, packed)) {
      total += chunk.byteLength
      if (total > entry.sizeBytes)
        throw invalid(this.#path, `entry ${entry.name} is longer than its ${entry.sizeBytes} bytes`)
      yield chunk
    }
    if (total !== entry.sizeBytes)
      throw invalid(this.#path, `entry ${entry.name} ends after ${total} of ${entry.sizeBytes} bytes`)
  }

  async *#packed(start: number, length: number): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < length; at += CHUNK_BYTES)
      yield await readExactly(this.#path, this.#file, start + at, Math.min(CHUNK_BYTES, length - at))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
  }
}

/** Inflate chunk by chunk: what one packed chunk gives is at most 1,032 times its length, and is checked before more is read. */
async function* inflated(path: string, entry: ZipEntry, packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let ready: Uint8Array[] = []
  const inflate = new Inflate((chunk) => ready.push(chunk))
  // Small pieces, so that a bomb shows itself before much of it is out.
  const pieceBytes = 4096
  try {
    for await (const chunk of packed)
      for (let at = 0; at < chunk.byteLength; at += pieceBytes) {
        inflate.push(chunk.subarray(at, at + pieceBytes))
        const out = ready
        ready = []
        yield* out
      }
    inflate.push(new Uint8Array(0), true)
  } catch (error) {
    throw invalid(path, `entry ${entry.name} cannot be decoded: ${messageOf(error)}`)
  }
  yield* ready
}

interface Directory {
  readonly bytes: Buffer
  readonly count: number
}

async function readDirectory(path: string, file: FileHandle): Promise<Directory> {
  const { size } = await file.stat()
  const tailBytes = Math.min(size, END_BYTES + COMMENT_BYTES_MAX + END64_LOCATOR_BYTES)
  const tail = await readExactly(path, file, size - tailBytes, tailBytes)
  let end = tail.length - END_BYTES
  while (
    end >= 0 &&
    (tail.readUInt32LE(end) !== END_SIGNATURE || end + END_BYTES + tail.readUInt16LE(end + 20) !== tail.length)
  )
    end--
  if (end < 0) throw invalid(path, 'it has no end record')
  let count = tail.readUInt16LE(end + 10)
  let bytes = tail.readUInt32LE(end + 12)
  let offset = tail.readUInt32LE(end + 16)
  if (count === U16_MAX || bytes === U32_MAX || offset === U32_MAX) {
    const locator = end - END64_LOCATOR_BYTES
    if (locator < 0 || tail.readUInt32LE(locator) !== END64_LOCATOR_SIGNATURE)
      throw invalid(path, 'its zip64 record is missing')
    const end64 = await readExactly(path, file, safeInteger(path, tail.readBigUInt64LE(locator + 8)), END64_BYTES)
    if (end64.readUInt32LE(0) !== END64_SIGNATURE) throw invalid(path, 'its zip64 record is damaged')
    count = safeInteger(path, end64.readBigUInt64LE(32))
    bytes = safeInteger(path, end64.readBigUInt64LE(40))
    offset = safeInteger(path, end64.readBigUInt64LE(48))
  }
  if (count > ZIP_ENTRIES_MAX) throw invalid(path, `it has ${count} entries; the limit is ${ZIP_ENTRIES_MAX}`)
  if (bytes > ZIP_DIRECTORY_BYTES_MAX)
    throw invalid(path, `its directory has ${bytes} bytes; the limit is ${ZIP_DIRECTORY_BYTES_MAX}`)
  if (offset + bytes > size) throw invalid(path, 'its directory lies outside the file')
  return { bytes: await readExactly(path, file, offset, bytes), count }
}

function parseDirectory(path: string, { bytes, count }: Directory): Map<string, ZipEntry> {
  const entries = new Map<string, ZipEntry>()
  let at = 0
  for (let index = 0; index < count; index++) {
    if (at + ENTRY_BYTES > bytes.length || bytes.readUInt32LE(at) !== ENTRY_SIGNATURE)
      throw invalid(path, `its directory breaks off at entry ${index}`)
    const flags = bytes.readUInt16LE(at + 8)
    const method = bytes.readUInt16LE(at + 10)
    const nameBytes = bytes.readUInt16LE(at + 28)
    const extraBytes = bytes.readUInt16LE(at + 30)
    const next = at + ENTRY_BYTES + nameBytes + extraBytes + bytes.readUInt16LE(at + 32)
    if (next > bytes.length) throw invalid(path, `its directory breaks off at entry ${index}`)
    const name = bytes.toString('utf8', at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes)
    if ((flags & ENCRYPTED_FLAG) !== 0 || (method !== STORED && method !== DEFLATED))
      throw invalid(path, `entry ${name} is encrypted or packed in an unknown way`)
    const extra = bytes.subarray(at + ENTRY_BYTES + nameBytes, at + ENTRY_BYTES + nameBytes + extraBytes)
    const sizes = zip64Sizes(path, extra, {
      sizeBytes: bytes.readUInt32LE(at + 24),
      packedBytes: bytes.readUInt32LE(at + 20),
      localOffset: bytes.readUInt32LE(at + 42),
    })
    entries.set(name, { name, method, ...sizes })
    at = next
  }
  return entries
}

type Sizes = Pick<ZipEntry, 'sizeBytes' | 'packedBytes' | 'localOffset'>

/** Fields that do not fit into 32 bits stand, in this order, in the extra field 1. */
function zip64Sizes(path: string, extra: Buffer, sizes: Sizes): Sizes {
  if (Object.values(sizes).every((value) => value !== U32_MAX)) return sizes
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue
    let field = at + 4
    const end = Math.min(extra.length, field + extra.readUInt16LE(at + 2))
    const wide = (value: number): number => {
      if (value !== U32_MAX) return value
      if (field + 8 > end) throw invalid(path, 'a zip64 field is missing')
      field += 8
      return safeInteger(path, extra.readBigUInt64LE(field - 8))
    }
    const sizeBytes = wide(sizes.sizeBytes)
    const packedBytes = wide(sizes.packedBytes)
    return { sizeBytes, packedBytes, localOffset: wide(sizes.localOffset) }
  }
  throw invalid(path, 'a zip64 field is missing')
}

async function readExactly(path: string, file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length)
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await file.read(buffer, filled, length - filled, position + filled).catch((error) => {
      throw hostError(`read ${path}`, error)
    })
    if (bytesRead === 0) throw invalid(path, 'it breaks off')
    filled += bytesRead
  }
  return buffer
}

function safeInteger(path: string, value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid(path, 'a length or offset is absurd')
  return Number(value)
}

function invalid(path: string, problem: string): HoloError {
  return new HoloError(`${path} is not a usable zip file: ${problem}`, {
    code: 'zip-invalid',
    blame: 'input',
    hint: 'export the file again',
  })
}
