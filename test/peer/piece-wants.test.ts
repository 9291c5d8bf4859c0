/** Whether every piece that was asked for has an end, whoever loses interest first. */
import { describe, expect, test } from 'bun:test'
import type { Sha256Digest } from '../../src/blob/digest.ts'
import type { PieceRest } from '../../src/blob/pieces.ts'
import { type PieceChannel, PieceWants } from '../../src/peer/piece-wants.ts'

const PIECE = 3
const WIRE_BYTES = 10

/** One piece is asked for; `told` is what its events say, `said` what the peer is told. */
function asked({ wanted, rest }: { readonly wanted: boolean; readonly rest?: PieceRest }) {
  const said: string[] = []
  const told: string[] = []
  const channel: PieceChannel = { send: ({ type }) => said.push(type) > 0, drained: async () => {} }
  const wants = new PieceWants()
  const question = {
    catalog: 'ab'.repeat(32) as Sha256Digest,
    count: 1,
    preference: 'small',
    choices: [PIECE],
  } as const
  const request = wants.ask(
    channel,
    { ...question, pieceBytes: () => 100, rest },
    {
      onHead: () => wanted,
      onBytes: (_piece, bytes) => told.push(`${bytes} bytes`),
      onReceived: (piece, { bytes }) => told.push(`received ${piece}, ${bytes.byteLength} bytes`),
      onRefused: (pieces, reason) => told.push(`refused ${pieces} ${reason}`),
      onLost: () => told.push('lost'),
    },
  )
  const head = (bytes: number) => {
    const chunk = new Uint8Array(bytes)
    wants.onHead(channel, { type: 'piece', request, piece: PIECE, encoding: 'zstd', wireBytes: WIRE_BYTES, chunk })
  }
  const more = (bytes: number) => wants.onMore(channel, { type: 'piece-more', chunk: new Uint8Array(bytes) })
  return { wants, channel, request, said, told, head, more }
}

describe('PieceWants', () => {
  test('tells of a piece that comes', () => {
    const { wants, told, head, more } = asked({ wanted: true })
    head(4)
    more(6)
    expect(told).toEqual(['4 bytes', '6 bytes', 'received 3, 10 bytes'])
    expect(wants.openRequests).toBe(0)
  })

  // Its want was open for ever, and its peer counted as busy, until it was given up as stalled.
  test('ends a piece that is passed over, also where its last byte came before the cancel was heard', () => {
    const { wants, said, told, head, more } = asked({ wanted: false })
    head(4)
    more(6)
    expect(said).toEqual(['want-pieces', 'cancel-pieces'])
    expect(told).toEqual(['refused 3 cancelled'])
    expect(wants.openRequests).toBe(0)
  })

  test('ends a piece that is passed over and comes at once', () => {
    const { said, told, head } = asked({ wanted: false })
    head(WIRE_BYTES)
    expect(said).toEqual(['want-pieces'])
    expect(told).toEqual(['refused 3 cancelled'])
  })

  test('ends a piece that is passed over and broken off, once', () => {
    const { wants, channel, request, told, head } = asked({ wanted: false })
    head(4)
    wants.onRefused(channel, { type: 'refuse-pieces', request, reason: 'cancelled', pieces: [PIECE] })
    expect(told).toEqual(['refused 3 cancelled'])
    expect(wants.openRequests).toBe(0)
  })
})

describe('PieceWants, of the rest of a piece,', () => {
  const rest: PieceRest = { encoding: 'zstd', wireBytes: 50, from: 40, knownBytes: 30, knownCrc: 7 }

  test('gives what comes after the beginning', () => {
    const { wants, said, told, head, more } = asked({ wanted: true, rest })
    head(4)
    more(6)
    expect(said).toEqual(['want-rest'])
    expect(told).toEqual(['4 bytes', '6 bytes', 'received 3, 10 bytes'])
    expect(wants.openRequests).toBe(0)
  })

  test('takes another form, and another length, for a violation', () => {
    for (const other of [{ encoding: 'identity' as const }, { wireBytes: 51 }, { from: 41 }]) {
      const { head } = asked({ wanted: true, rest: { ...rest, ...other } })
      expect(() => head(WIRE_BYTES)).toThrow('rest of another form')
    }
  })

  test('tells what has come of a piece, as long as it is under way', () => {
    const { wants, request, head, more } = asked({ wanted: true })
    expect(wants.arrived(request)).toBeUndefined()
    head(4)
    const arrived = wants.arrived(request)
    expect(arrived).toMatchObject({ encoding: 'zstd', filled: 4 })
    expect(arrived?.bytes.byteLength).toBe(WIRE_BYTES)
    more(6)
    expect(wants.arrived(request)).toBeUndefined()
    const passedOver = asked({ wanted: false })
    passedOver.head(4)
    expect(passedOver.wants.arrived(passedOver.request)).toBeUndefined()
  })
})
