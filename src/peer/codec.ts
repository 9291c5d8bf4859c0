/**
 * The bytes of `holo-peer/1`: one message is one frame (docs/protocol.md).
 *
 * Pure: bytes in, message out, every field bounded before anything is allocated for it. Knows nothing of order.
 */
import b4a from 'b4a'
import { HoloError } from '../base/errors.ts'
import {
  AGENT_BYTES_MAX,
  BLOB_BYTES_MAX,
  BYE_TEXT_BYTES_MAX,
  CATALOG_STORED_BYTES_MAX,
  CHUNK_BYTES_MAX,
  FLEETS_MAX,
  HAVE_ENTRIES_MAX,
  PEER_CREDIT_BYTES,
  WANT_DIGESTS_MAX,
} from '../base/limits.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import { parseCatalogName } from '../catalog/names.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { TYPES } from './message-types.ts'
import {
  BYE_CODES,
  type Hello,
  LEASE_STATES,
  type Lease,
  type Message,
  MISSING_REASONS,
  type Part,
  REQUEST_MAX,
  VERSION_HIGHEST,
  VERSION_LOWEST,
} from './messages.ts'
import { PIECE_READERS, pieceFields } from './piece-codec.ts'
import {
  type Cursor,
  readBytes,
  readDigest,
  readFixed,
  readList,
  readText,
  readUint,
  textBytes,
  uintBytes,
  violation,
} from './wire.ts'

/** `<16 hex digits>v12.<platform>` is at most 32 bytes long. */
const NAME_BYTES_MAX = 64
/** Parts are at least 5 bytes long, and a frame carries about 64 KiB of them. */
const PARTS_PER_FRAME_MAX = 16_384

const FLAG_FIRST = 1
const FLAG_LAST = 2
const FLAG_GZIP = 4

/** @returns one frame */
export function encodeMessage(message: Message): Uint8Array {
  return b4a.concat([b4a.from([TYPES.indexOf(message.type)]), ...fieldsOf(message)])
}

/**
 * The same in two parts, for those who can send them one after the other: the bytes of a piece are large, and come last.
 *
 * @returns what makes one frame together; `chunk` is the message's own, and empty for other messages
 */
export function encodeInTwo(message: Message): { readonly head: Uint8Array; readonly chunk: Uint8Array } {
  if (message.type !== 'piece' && message.type !== 'piece-more') return { head: encodeMessage(message), chunk: NOTHING }
  const fields = fieldsOf(message).slice(0, -1)
  return { head: b4a.concat([b4a.from([TYPES.indexOf(message.type)]), ...fields]), chunk: message.chunk }
}

const NOTHING = new Uint8Array(0)

/**
 * @param frame one frame; what the message holds of bytes are views of it
 * @throws {HoloError} blame `source`, code `protocol-violation`: unknown type, a field out of its bounds, bytes missing
 *   or left over
 */
export function decodeMessage(frame: Uint8Array): Message {
  const cursor: Cursor = { start: 0, end: frame.byteLength, buffer: frame }
  try {
    const type = TYPES[readUint(cursor, 0xff, 'a message type')]
    if (type === undefined) throw violation('a message of an unknown type')
    const message = READERS[type](cursor)
    // A later version may put more into its hello; whether we can talk to it is decided by the version alone.
    if (cursor.start !== cursor.end && type !== 'hello') throw violation(`bytes after the end of "${type}"`)
    return message
  } catch (error) {
    throw error instanceof HoloError ? error : violation('a frame that cannot be read', error)
  }
}

function fieldsOf(message: Message): Uint8Array[] {
  switch (message.type) {
    case 'hello':
      return helloFields(message)
    case 'bye':
      return [uintBytes(BYE_CODES.indexOf(message.code)), textBytes(message.text, BYE_TEXT_BYTES_MAX)]
    case 'have':
      return [
        uintBytes(message.added.length),
        ...message.added.flatMap(({ name, sha256, storedBytes }) => [
          textBytes(name, NAME_BYTES_MAX),
          b4a.from(sha256, 'hex'),
          uintBytes(storedBytes),
        ]),
        uintBytes(message.removed.length),
        ...message.removed.map((name) => textBytes(name, NAME_BYTES_MAX)),
      ]
    case 'catalog':
      return [uintBytes(message.request), textBytes(message.name, NAME_BYTES_MAX)]
    case 'want':
    case 'ask':
      return [
        uintBytes(message.request),
        uintBytes(message.digests.length),
        ...message.digests.map((digest) => b4a.from(digest, 'hex')),
      ]
    case 'parts':
      return [uintBytes(message.parts.length), ...message.parts.flatMap(partFields)]
    case 'missing':
      return [
        uintBytes(message.request),
        uintBytes(MISSING_REASONS.indexOf(message.reason)),
        ...indexFields(message.indexes),
      ]
    case 'cancel':
      return [uintBytes(message.request), ...indexFields(message.indexes)]
    case 'holding':
      return [uintBytes(message.request), ...bitFields(message.indexes)]
    case 'credit':
      return [uintBytes(message.bytes)]
    case 'signatures':
      return [uintBytes(message.request), b4a.from(message.catalog, 'hex')]
    case 'lease':
      return leaseFields(message)
    case 'lane-wish':
      return []
    case 'lane-offer': {
      const { lane } = message
      return lane === undefined ? [uintBytes(0)] : [uintBytes(1), uintBytes(lane.port), lane.certificate, lane.ticket]
    }
    default:
      return pieceFields(message)
  }
}

function helloFields(hello: Hello): Uint8Array[] {
  const { delegation } = hello
  return [
    uintBytes(hello.versionLowest),
    uintBytes(hello.versionHighest),
    uintBytes(hello.proofs.length),
    ...hello.proofs,
    uintBytes(hello.role === 'daemon' ? 0 : 1),
    textBytes(hello.agent, AGENT_BYTES_MAX),
    ...(delegation === undefined ? [uintBytes(0)] : [uintBytes(1), delegation.machineKey, delegation.signature]),
  ]
}

function leaseFields({ name, state, catalog }: Lease): Uint8Array[] {
  const fields = [textBytes(name, NAME_BYTES_MAX), uintBytes(LEASE_STATES.indexOf(state))]
  if (state !== 'held') return fields
  if (catalog === undefined) return [...fields, uintBytes(0)]
  return [...fields, uintBytes(1), b4a.from(catalog.sha256, 'hex'), uintBytes(catalog.storedBytes)]
}

function partFields({ request, index, encoding, storedBytes, last, chunk }: Part): Uint8Array[] {
  const flags =
    (storedBytes === undefined ? 0 : FLAG_FIRST) | (last ? FLAG_LAST : 0) | (encoding === 'gzip' ? FLAG_GZIP : 0)
  const fields = [uintBytes(request), uintBytes(index), uintBytes(flags)]
  if (storedBytes !== undefined) fields.push(uintBytes(storedBytes))
  fields.push(uintBytes(chunk.byteLength), chunk)
  return fields
}

function indexFields(indexes: readonly number[]): Uint8Array[] {
  return [uintBytes(indexes.length), ...indexes.map(uintBytes)]
}

const READERS: { readonly [Type in Message['type']]: (cursor: Cursor) => Message } = {
  hello: readHello,
  bye: (cursor) => ({
    type: 'bye',
    // A code that a later version may know is taken for a plain goodbye.
    code: BYE_CODES[readUint(cursor, 0xff, 'a bye code')] ?? 'leaving',
    text: readText(cursor, BYE_TEXT_BYTES_MAX, 'a bye text'),
  }),
  have: (cursor) => ({
    type: 'have',
    added: readList(cursor, HAVE_ENTRIES_MAX, 'added catalogs', () => ({
      name: readName(cursor),
      sha256: readDigest(cursor),
      storedBytes: readCatalogBytes(cursor),
    })),
    removed: readList(cursor, HAVE_ENTRIES_MAX, 'removed catalogs', () => readName(cursor)),
  }),
  catalog: (cursor) => ({ type: 'catalog', request: readRequest(cursor), name: readName(cursor) }),
  want: (cursor) => ({ type: 'want', request: readRequest(cursor), digests: readDigests(cursor) }),
  parts: (cursor) => ({
    type: 'parts',
    parts: readList(cursor, PARTS_PER_FRAME_MAX, 'parts', () => readPart(cursor)),
  }),
  missing: (cursor) => ({
    type: 'missing',
    request: readRequest(cursor),
    reason: MISSING_REASONS[readUint(cursor, MISSING_REASONS.length - 1, 'a reason')] ?? 'failed',
    indexes: readIndexes(cursor),
  }),
  cancel: (cursor) => ({ type: 'cancel', request: readRequest(cursor), indexes: readIndexes(cursor) }),
  credit: (cursor) => ({ type: 'credit', bytes: readUint(cursor, PEER_CREDIT_BYTES, 'a credit') }),
  ask: (cursor) => ({ type: 'ask', request: readRequest(cursor), digests: readDigests(cursor) }),
  holding: (cursor) => ({ type: 'holding', request: readRequest(cursor), indexes: readBits(cursor) }),
  signatures: (cursor) => ({ type: 'signatures', request: readRequest(cursor), catalog: readDigest(cursor) }),
  'lane-wish': () => ({ type: 'lane-wish' }),
  'lane-offer': (cursor) => ({
    type: 'lane-offer',
    lane:
      readUint(cursor, 1, 'a lane flag') === 0
        ? undefined
        : {
            port: readUint(cursor, 0xffff, 'a port'),
            certificate: readFixed(cursor, 32),
            ticket: readFixed(cursor, 32),
          },
  }),
  lease: readLease,
  ...PIECE_READERS,
}

function readHello(cursor: Cursor): Hello {
  const versionLowest = readUint(cursor, 0xffff, 'a version')
  const versionHighest = readUint(cursor, 0xffff, 'a version')
  if (versionLowest > versionHighest) throw violation(`versions ${versionLowest} to ${versionHighest}`)
  if (versionHighest < VERSION_LOWEST || versionLowest > VERSION_HIGHEST) {
    // The rest may have a form that we do not know.
    return {
      type: 'hello',
      versionLowest,
      versionHighest,
      proofs: [],
      role: 'client',
      agent: '',
      delegation: undefined,
    }
  }
  return {
    type: 'hello',
    versionLowest,
    versionHighest,
    proofs: readList(cursor, FLEETS_MAX, 'proofs', () => readFixed(cursor, 32)),
    role: readUint(cursor, 1, 'a role') === 0 ? 'daemon' : 'client',
    agent: readText(cursor, AGENT_BYTES_MAX, 'an agent'),
    delegation:
      readUint(cursor, 1, 'a delegation flag') === 0
        ? undefined
        : { machineKey: readFixed(cursor, 32), signature: readFixed(cursor, 64) },
  }
}

function readLease(cursor: Cursor): Lease {
  const name = readName(cursor)
  const state = LEASE_STATES[readUint(cursor, LEASE_STATES.length - 1, 'a state of a lease')] ?? 'none'
  const isKnown = state === 'held' && readUint(cursor, 1, 'a flag of a lease') === 1
  const catalog = isKnown ? { sha256: readDigest(cursor), storedBytes: readCatalogBytes(cursor) } : undefined
  return { type: 'lease', name, state, catalog }
}

function readCatalogBytes(cursor: Cursor): number {
  return readUint(cursor, CATALOG_STORED_BYTES_MAX, 'a catalog size')
}

function readPart(cursor: Cursor): Part {
  const request = readRequest(cursor)
  const index = readUint(cursor, WANT_DIGESTS_MAX - 1, 'an index')
  const flags = readUint(cursor, FLAG_FIRST | FLAG_LAST | FLAG_GZIP, 'flags')
  return {
    request,
    index,
    encoding: (flags & FLAG_GZIP) === 0 ? 'identity' : 'gzip',
    storedBytes: (flags & FLAG_FIRST) === 0 ? undefined : readUint(cursor, BLOB_BYTES_MAX * 2, 'a blob size'),
    last: (flags & FLAG_LAST) !== 0,
    chunk: readBytes(cursor, CHUNK_BYTES_MAX, 'a chunk'),
  }
}

function readRequest(cursor: Cursor): number {
  return readUint(cursor, REQUEST_MAX, 'a request number')
}

function readName(cursor: Cursor): CatalogName {
  const text = readText(cursor, NAME_BYTES_MAX, 'a catalog name')
  const name = parseCatalogName(text)
  if (name === undefined) throw violation(`a catalog name that is none: "${text}"`)
  return name
}

function readDigests(cursor: Cursor): Sha256Digest[] {
  const digests = readList(cursor, WANT_DIGESTS_MAX, 'digests', () => readDigest(cursor))
  if (digests.length === 0) throw violation('a question about nothing')
  return digests
}

function readIndexes(cursor: Cursor): number[] {
  return readList(cursor, WANT_DIGESTS_MAX, 'indexes', () => readUint(cursor, WANT_DIGESTS_MAX - 1, 'an index'))
}

/** As bits, the first in the highest bit of the first byte, without zero bytes at the end. */
function bitFields(indexes: readonly number[]): Uint8Array[] {
  const bits = new Uint8Array(Math.ceil((Math.max(-1, ...indexes) + 1) / 8))
  for (const index of indexes) bits[index >> 3] = (bits[index >> 3] ?? 0) | (0x80 >> (index & 7))
  return [uintBytes(bits.byteLength), bits]
}

/** Ascending. */
function readBits(cursor: Cursor): number[] {
  const bits = readBytes(cursor, WANT_DIGESTS_MAX / 8, 'a bitfield of length')
  const indexes: number[] = []
  for (const [at, byte] of bits.entries()) {
    for (let bit = 0; bit < 8; bit++) if ((byte & (0x80 >> bit)) !== 0) indexes.push(at * 8 + bit)
  }
  return indexes
}
