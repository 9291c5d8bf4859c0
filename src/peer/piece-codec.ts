/**
 * The bytes of the messages about pieces, after their type (docs/protocol.md, "Pieces").
 *
 * Pure: every field is bounded before anything is allocated for it. Whether a number is one of the catalog's pieces is
 * for those who know the catalog.
 */
import b4a from 'b4a'
import {
  PIECE_CHUNK_BYTES_MAX,
  PIECE_WIRE_BYTES_MAX,
  PIECES_MAX,
  PIECES_NAMED_MAX,
  PIECES_TOLD_MAX,
} from '../base/limits.ts'
import { REQUEST_MAX } from './messages.ts'
import { type PieceMessage, REFUSALS } from './piece-messages.ts'
import { type Cursor, readBytes, readDigest, readFixed, readList, readUint, uintBytes, violation } from './wire.ts'

type Readers = { readonly [Type in PieceMessage['type']]: (cursor: Cursor) => Extract<PieceMessage, { type: Type }> }

/** The fields of a message, in order. */
export function pieceFields(message: PieceMessage): Uint8Array[] {
  switch (message.type) {
    case 'pieces-held':
      return [b4a.from(message.catalog, 'hex'), uintBytes(message.count), message.bits]
    case 'pieces-got':
      return [b4a.from(message.catalog, 'hex'), ...numberFields(message.pieces)]
    case 'catalog-coming':
      return [b4a.from(message.catalog, 'hex')]
    case 'want-pieces':
      return [
        uintBytes(message.request),
        b4a.from(message.catalog, 'hex'),
        uintBytes(message.preference === 'small' ? 1 : 0),
        uintBytes(message.count),
        ...numberFields(message.choices),
      ]
    case 'want-rest':
      return [
        uintBytes(message.request),
        b4a.from(message.catalog, 'hex'),
        uintBytes(message.piece),
        uintBytes(message.rest.encoding === 'zstd' ? 1 : 0),
        uintBytes(message.rest.wireBytes),
        uintBytes(message.rest.from),
        uintBytes(message.rest.knownBytes),
        uintBytes(message.rest.knownCrc),
      ]
    case 'piece':
      return [
        uintBytes(message.request),
        uintBytes(message.piece),
        uintBytes(message.encoding === 'zstd' ? 1 : 0),
        uintBytes(message.wireBytes),
        uintBytes(message.chunk.byteLength),
        message.chunk,
      ]
    case 'piece-more':
      return [uintBytes(message.chunk.byteLength), message.chunk]
    case 'refuse-pieces':
      return [uintBytes(message.request), uintBytes(REFUSALS.indexOf(message.reason)), ...numberFields(message.pieces)]
    case 'cancel-pieces':
      return [uintBytes(message.request), ...numberFields(message.pieces)]
    case 'choke':
      return [uintBytes(message.choked ? 1 : 0)]
    case 'piece-table':
      return [uintBytes(message.request), b4a.from(message.catalog, 'hex')]
  }
}

/** By type; each throws a `protocol-violation` where a field is out of its bounds. */
export const PIECE_READERS: Readers = {
  'pieces-held': (cursor) => {
    const catalog = readDigest(cursor)
    const count = readUint(cursor, PIECES_MAX, 'a number of pieces')
    const bits = readFixed(cursor, Math.ceil(count / 8))
    const unused = bits.byteLength * 8 - count
    if (((bits.at(-1) ?? 0) & ((1 << unused) - 1)) !== 0) throw violation('a bitfield with bits beyond its end')
    return { type: 'pieces-held', catalog, count, bits }
  },
  'pieces-got': (cursor) => ({
    type: 'pieces-got',
    catalog: readDigest(cursor),
    pieces: readNumbers(cursor, PIECES_TOLD_MAX),
  }),
  'catalog-coming': (cursor) => ({ type: 'catalog-coming', catalog: readDigest(cursor) }),
  'want-pieces': (cursor) => {
    const request = readRequest(cursor)
    const catalog = readDigest(cursor)
    const preference = readUint(cursor, 1, 'a preference') === 1 ? 'small' : 'fast'
    const count = readUint(cursor, PIECES_NAMED_MAX, 'a count')
    const choices = readNumbers(cursor)
    if (count === 0 || count > choices.length) throw violation(`a want of ${count} out of ${choices.length} pieces`)
    if (new Set(choices).size !== choices.length) throw violation('a want that names a piece twice')
    return { type: 'want-pieces', request, catalog, count, preference, choices }
  },
  'want-rest': (cursor) => {
    const request = readRequest(cursor)
    const catalog = readDigest(cursor)
    const piece = readPiece(cursor)
    const encoding = readEncoding(cursor)
    const wireBytes = readUint(cursor, PIECE_WIRE_BYTES_MAX, 'a piece of length')
    if (wireBytes === 0) throw violation('a want of the rest of nothing')
    const from = readUint(cursor, wireBytes - 1, 'a beginning')
    const knownBytes = readUint(cursor, wireBytes, 'a number of known bytes')
    const knownCrc = readUint(cursor, 0xffffffff, 'a checksum')
    return { type: 'want-rest', request, catalog, piece, rest: { encoding, wireBytes, from, knownBytes, knownCrc } }
  },
  piece: (cursor) => ({
    type: 'piece',
    request: readRequest(cursor),
    piece: readPiece(cursor),
    encoding: readEncoding(cursor),
    wireBytes: readUint(cursor, PIECE_WIRE_BYTES_MAX, 'a piece of length'),
    chunk: readBytes(cursor, PIECE_CHUNK_BYTES_MAX, 'a chunk'),
  }),
  'piece-more': (cursor) => ({ type: 'piece-more', chunk: readBytes(cursor, PIECE_CHUNK_BYTES_MAX, 'a chunk') }),
  'refuse-pieces': (cursor) => ({
    type: 'refuse-pieces',
    request: readRequest(cursor),
    reason: REFUSALS[readUint(cursor, REFUSALS.length - 1, 'a reason')] ?? 'failed',
    pieces: readNumbers(cursor),
  }),
  'cancel-pieces': (cursor) => ({
    type: 'cancel-pieces',
    request: readRequest(cursor),
    pieces: readNumbers(cursor),
  }),
  choke: (cursor) => ({ type: 'choke', choked: readUint(cursor, 1, 'a choke flag') === 1 }),
  'piece-table': (cursor) => ({ type: 'piece-table', request: readRequest(cursor), catalog: readDigest(cursor) }),
}

function numberFields(numbers: readonly number[]): Uint8Array[] {
  return [uintBytes(numbers.length), ...numbers.map(uintBytes)]
}

function readNumbers(cursor: Cursor, countMax = PIECES_NAMED_MAX): number[] {
  return readList(cursor, countMax, 'pieces', () => readPiece(cursor))
}

function readPiece(cursor: Cursor): number {
  return readUint(cursor, PIECES_MAX - 1, 'a piece')
}

function readEncoding(cursor: Cursor): 'identity' | 'zstd' {
  return readUint(cursor, 1, 'an encoding') === 1 ? 'zstd' : 'identity'
}

function readRequest(cursor: Cursor): number {
  return readUint(cursor, REQUEST_MAX, 'a request number')
}
