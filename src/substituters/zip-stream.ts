/**
 * A zip read as it comes, entry by entry: for zips that a server makes on the way, whose directory is still to come.
 *
 * Go's writer tells no lengths in front of an entry, so the end of one is where its deflate stream ends; nothing is
 * searched for. Memory is for some chunks, whatever an entry claims. Format: PKWARE APPNOTE.TXT 6.3.10, section 4.3.
 * Names are claims, and mean nothing here.
 */
import { createInflateRaw } from 'node:zlib'
import { messageOf } from '../base/errors.ts'
import { CHUNK_BYTES, ZIP_ENTRIES_MAX } from '../base/limits.ts'
import { ByteReader } from './byte-reader.ts'

const LOCAL_SIGNATURE = 0x04034b50
const DESCRIPTOR_SIGNATURE = 0x08074b50
const DIRECTORY_SIGNATURE = 0x02014b50
const END_SIGNATURE = 0x06054b50
const LOCAL_BYTES = 26
const STORED = 0
const DEFLATED = 8
const ENCRYPTED_FLAG = 1
const DESCRIPTOR_FLAG = 8
const U32_MAX = 0xffff_ffff
/** Deflate grows a thousandfold at best: small steps, so that the reader's bound comes before much is out. */
const STEP_BYTES = 16 * 1024

/** It is no zip that can be read so. The message ends the sentence `the zip …`. */
export class ZipStreamError extends Error {
  override readonly name = 'ZipStreamError'
}

export interface ZipStreamEntry {
  readonly name: string
  /** Decoded; to be read to its end, or not at all, before the next entry is taken. */
  readonly bytes: AsyncGenerator<Uint8Array>
}

/**
 * @throws {ZipStreamError} while iterating, also over an entry: it breaks off, or is packed in another way
 * @throws whatever `bytes` throws
 */
export async function* readZipStream(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<ZipStreamEntry> {
  const reader = new ByteReader(bytes)
  try {
    for (let count = 0; ; count++) {
      if (count > ZIP_ENTRIES_MAX) throw new ZipStreamError(`has more than ${ZIP_ENTRIES_MAX} entries`)
      const signature = await number(reader, 4)
      if (signature === DIRECTORY_SIGNATURE || signature === END_SIGNATURE) return
      if (signature !== LOCAL_SIGNATURE) throw new ZipStreamError('has something else where an entry has to be')
      const entry = await localHeader(reader)
      let read = false
      const body = entryBytes(reader, entry)
      const counted = (async function* () {
        yield* body
        read = true
      })()
      yield { name: entry.name, bytes: counted }
      if (!read) for await (const _chunk of counted);
      if (!read) throw new TypeError('an entry of a zip was left in the middle')
    }
  } finally {
    await reader.end()
  }
}

interface LocalEntry {
  readonly name: string
  readonly method: number
  readonly hasDescriptor: boolean
  /** Bytes in the zip, where the header tells. */
  readonly packedBytes: number
}

async function localHeader(reader: ByteReader): Promise<LocalEntry> {
  const header = Buffer.from(await needed(reader, LOCAL_BYTES))
  const flags = header.readUInt16LE(2)
  const method = header.readUInt16LE(4)
  const name = Buffer.from(await needed(reader, header.readUInt16LE(22))).toString('utf8')
  const extra = Buffer.from(await needed(reader, header.readUInt16LE(24)))
  if ((flags & ENCRYPTED_FLAG) !== 0 || (method !== STORED && method !== DEFLATED)) {
    throw new ZipStreamError(`has the entry ${name}, which is encrypted or packed in an unknown way`)
  }
  const hasDescriptor = (flags & DESCRIPTOR_FLAG) !== 0
  const packedBytes = wide(header.readUInt32LE(14), extra)
  return { name, method, hasDescriptor, packedBytes }
}

/** The packed size stands second in the extra field 1, after the size, where it does not fit into 32 bits. */
function wide(packedBytes: number, extra: Buffer): number {
  if (packedBytes !== U32_MAX) return packedBytes
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) === 1 && at + 20 <= extra.length) return Number(extra.readBigUInt64LE(at + 12))
  }
  throw new ZipStreamError('has an entry that does not tell its length')
}

async function* entryBytes(reader: ByteReader, entry: LocalEntry): AsyncGenerator<Uint8Array> {
  const counts = { packed: 0, content: 0 }
  // A stored entry has no end of its own: its length has to stand in front of it.
  const body = entry.method === DEFLATED ? inflated(reader, counts) : stored(reader, entry.packedBytes, counts)
  for await (const chunk of body) {
    counts.content += chunk.byteLength
    yield chunk
  }
  if (entry.hasDescriptor) await passDescriptor(reader, counts.packed, counts.content)
}

async function* stored(reader: ByteReader, bytes: number, counts: { packed: number }): AsyncGenerator<Uint8Array> {
  for (; counts.packed < bytes; ) {
    const chunk = await reader.some(Math.min(CHUNK_BYTES, bytes - counts.packed))
    if (chunk === undefined) throw new ZipStreamError('breaks off')
    counts.packed += chunk.byteLength
    yield chunk
  }
}

async function* inflated(reader: ByteReader, counts: { packed: number }): AsyncGenerator<Uint8Array> {
  const inflate = createInflateRaw({ chunkSize: 4 * STEP_BYTES })
  let fed = 0
  let failure: { thrown: unknown } | undefined
  let last: Uint8Array = new Uint8Array(0)
  const feed = async (): Promise<void> => {
    try {
      // What is not taken is behind the end; one step at a time, so that it is all of the last one.
      while (inflate.bytesWritten === fed && !inflate.destroyed) {
        const chunk = await reader.some(STEP_BYTES)
        if (chunk === undefined) throw new ZipStreamError('breaks off')
        last = chunk
        fed += chunk.byteLength
        const { promise, resolve } = Promise.withResolvers<void>()
        inflate.once('close', resolve)
        inflate.write(chunk, () => resolve())
        await promise
        inflate.off('close', resolve)
      }
    } catch (thrown) {
      failure = { thrown }
      inflate.destroy(thrown instanceof Error ? thrown : new Error(String(thrown)))
    }
  }
  // Whoever reads gets it thrown; where nobody reads any more, nobody has to hear of it.
  inflate.on('error', () => {})
  const feeding = feed()
  try {
    for await (const chunk of inflate) yield chunk
    await feeding
    counts.packed = inflate.bytesWritten
    reader.putBack(last.subarray(last.byteLength - (fed - inflate.bytesWritten)))
  } catch (error) {
    if (failure !== undefined) throw failure.thrown
    throw new ZipStreamError(`cannot be decoded: ${messageOf(error)}`)
  } finally {
    inflate.destroy()
  }
}

/** Its signature is optional, and its lengths have four or eight bytes; nothing says which. */
async function passDescriptor(reader: ByteReader, packed: number, content: number): Promise<void> {
  const first = Buffer.from(await needed(reader, 4))
  if (first.readUInt32LE(0) === DESCRIPTOR_SIGNATURE) await needed(reader, 4)
  const lengths = Buffer.from(await needed(reader, 8))
  if (lengths.readUInt32LE(0) === packed && lengths.readUInt32LE(4) === content) return
  const more = Buffer.concat([lengths, await needed(reader, 8)])
  if (more.readBigUInt64LE(0) !== BigInt(packed) || more.readBigUInt64LE(8) !== BigInt(content)) {
    throw new ZipStreamError('tells other lengths than an entry has')
  }
}

async function needed(reader: ByteReader, bytes: number): Promise<Uint8Array> {
  const taken = await reader.exactly(bytes)
  if (taken === undefined) throw new ZipStreamError('breaks off')
  return taken
}

async function number(reader: ByteReader, bytes: 4): Promise<number> {
  return Buffer.from(await needed(reader, bytes)).readUInt32LE(0)
}
