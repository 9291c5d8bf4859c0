/** Whether every piece that was asked for has an end, whoever loses interest first. */
import { describe, expect, test } from 'bun:test'
import type { Sha256Digest } from '../../src/blob/digest.ts'
import { type PieceChannel, PieceWants } from '../../src/peer/piece-wants.ts'

const PIECE = 3
const WIRE_BYTES = 10

/** One piece is asked for; `told` is what its events say, `said` what the peer is told. */
function asked({ wanted }: { readonly wanted: boolean }) {
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
    { ...question, pieceBytes: () => 100 },
    {
      onHead: () => wanted,
      onBytes: (_piece, bytes) => told.push(`${bytes} bytes`),
      onReceived: (piece) => told.push(`received ${piece}`),
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
    expect(told).toEqual(['4 bytes', '6 bytes', 'received 3'])
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
