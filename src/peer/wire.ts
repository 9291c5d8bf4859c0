/**
 * Bounded reading of single fields, and their writing: compact-encoding, with every bound checked before use.
 */
import b4a from 'b4a'
import c from 'compact-encoding'
import { HoloError, messageOf } from '../base/errors.ts'
import { parseSha256, type Sha256Digest } from '../blob/digest.ts'

/** Where reading stands in a frame. */
export interface Cursor {
  start: number
  end: number
  buffer: Uint8Array
}

/** The error of a peer that breaks the protocol; whoever catches it ends the connection and names the peer. */
export function violation(what: string, cause?: unknown): HoloError {
  const detail = cause === undefined ? '' : `: ${messageOf(cause)}`
  return new HoloError(`The peer broke the protocol: it sent ${what}${detail}`, {
    code: 'protocol-violation',
    blame: 'source',
    hint: 'update holo-peer on that machine; if it is up to date, the machine is faulty or hostile',
    cause,
  })
}

/** The same error, told of the peer by its name. */
export function named(error: HoloError, peer: string): HoloError {
  const message = error.message.replace(/^The peer\b/, peer.replace(/^p/, 'P'))
  const { code, blame, hint, cause } = error
  return new HoloError(message, { code, blame, cause, ...(hint === undefined ? {} : { hint }) })
}

/** @throws {HoloError} where the number is above `max` */
export function readUint(cursor: Cursor, max: number, what: string): number {
  const value = c.uint.decode(cursor)
  if (value > max) throw violation(`${what} ${value}, above ${max}`)
  return value
}

/** `length` bytes, as a view of the frame. */
export function readFixed(cursor: Cursor, length: number): Uint8Array {
  if (cursor.end - cursor.start < length) throw violation('a frame that ends too early')
  const bytes = cursor.buffer.subarray(cursor.start, cursor.start + length)
  cursor.start += length
  return bytes
}

/** 32 bytes. */
export function readDigest(cursor: Cursor): Sha256Digest {
  return parseSha256(b4a.toString(readFixed(cursor, 32), 'hex')) as Sha256Digest
}

/** A length, then so many bytes, as a view of the frame. */
export function readBytes(cursor: Cursor, bytesMax: number, what: string): Uint8Array {
  return readFixed(cursor, readUint(cursor, bytesMax, `${what} of length`))
}

/** UTF-8; control characters, which could play tricks on a terminal, become blanks. */
export function readText(cursor: Cursor, bytesMax: number, what: string): string {
  return b4a.toString(readBytes(cursor, bytesMax, what), 'utf8').replace(/\p{C}/gu, ' ')
}

/** A count, then so many items. */
export function readList<Item>(cursor: Cursor, countMax: number, what: string, read: () => Item): Item[] {
  const count = readUint(cursor, countMax, `a number of ${what}`)
  const items: Item[] = []
  for (let index = 0; index < count; index++) items.push(read())
  return items
}

export function uintBytes(value: number): Uint8Array {
  return c.encode(c.uint, value)
}

/** `text`, cut to `bytesMax` bytes, with its length in front. */
export function textBytes(text: string, bytesMax: number): Uint8Array {
  const bytes = b4a.from(text, 'utf8').subarray(0, bytesMax)
  return b4a.concat([uintBytes(bytes.byteLength), bytes])
}
