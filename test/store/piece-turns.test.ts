/** How pieces are shared out among Workers; played by lanes that take as long as they are told. */
import { describe, expect, test } from 'bun:test'
import { never } from '../../src/base/clock.ts'
import { PIECE_BYTES } from '../../src/base/limits.ts'
import { sha256Of } from '../../src/blob/digest.ts'
import type { Piece } from '../../src/catalog/pieces.ts'
import { PieceTurns, workOf } from '../../src/store/piece-turns.ts'

/** A Worker that is through with its first piece when `step` says so. */
class PlayedLane {
  outstandingBytes = 0
  readonly done: Piece[] = []
  #doing: { readonly piece: Piece; readonly settle: PromiseWithResolvers<Piece> }[] = []

  ask(piece: Piece): Promise<Piece> {
    const settle = Promise.withResolvers<Piece>()
    this.#doing.push({ piece, settle })
    this.outstandingBytes += workOf(piece)
    return settle.promise
  }

  async step(error?: Error): Promise<void> {
    const first = this.#doing.shift()
    if (first === undefined) return
    this.outstandingBytes -= workOf(first.piece)
    this.done.push(first.piece)
    if (error === undefined) first.settle.resolve(first.piece)
    else first.settle.reject(error)
    await Bun.sleep(0)
  }

  get isIdle(): boolean {
    return this.#doing.length === 0
  }
}

const blob = (sizeBytes: number) => ({ digest: sha256Of(new Uint8Array(0)), sizeBytes })
const group = (bytes = PIECE_BYTES): Piece => ({ kind: 'group', blobs: [0], bytes })
const range = (of: number, offset: number): Piece => ({ kind: 'range', blob: of, offset, bytes: PIECE_BYTES })
const two = () => [new PlayedLane(), new PlayedLane()] as const

describe('PieceTurns', () => {
  test('two Workers, one of them four times as fast, are through at the same time', async () => {
    const [fast, slow] = two()
    const turns = new PieceTurns([fast, slow], [])
    const all = Promise.all(Array.from({ length: 200 }, () => turns.run(group(), (lane) => lane.ask(group()), never)))
    let steps = 0
    for (; !(fast.isIdle && slow.isIdle); steps++) {
      await fast.step()
      if (steps % 4 === 0) await slow.step()
    }
    await all
    // Shared out as they came, each would have got 100, and the slow one needed 400.
    expect(fast.done.length).toBeGreaterThan(140)
    expect(steps).toBeLessThan(200)
  })

  test('all ranges of a blob go to one Worker, and large blobs are shared out by their bytes', async () => {
    const [left, right] = two()
    const turns = new PieceTurns([left, right], [blob(9 * PIECE_BYTES), blob(2 * PIECE_BYTES), blob(3 * PIECE_BYTES)])
    const given = (number: number, count: number) =>
      Array.from({ length: count }, (_, at) =>
        turns.run(range(number, at * PIECE_BYTES), (lane) => lane.ask(range(number, at * PIECE_BYTES)), never),
      )
    const all = Promise.all([...given(0, 9), ...given(1, 2), ...given(2, 3)])
    while (!(left.isIdle && right.isIdle)) await Promise.all([left.step(), right.step()])
    await all
    const blobsOf = (lane: PlayedLane) => new Set(lane.done.map((piece) => piece.kind === 'range' && piece.blob))
    expect(blobsOf(left)).toEqual(new Set([0]))
    expect(blobsOf(right)).toEqual(new Set([1, 2]))
  })

  test('what only one Worker can do is not kept waiting by what any can do', async () => {
    const [left, right] = two()
    const turns = new PieceTurns([left, right], [blob(30 * PIECE_BYTES)])
    const order: string[] = []
    const run = (piece: Piece) =>
      turns.run(
        piece,
        (lane) => {
          if (lane === left) order.push(piece.kind)
          return lane.ask(piece)
        },
        never,
      )
    const all = Promise.all([
      ...Array.from({ length: 40 }, () => run(group())),
      ...Array.from({ length: 30 }, (_, at) => run(range(0, at * PIECE_BYTES))),
    ])
    while (!(left.isIdle && right.isIdle)) await Promise.all([left.step(), right.step()])
    await all
    const rangesFrom = order.indexOf('range')
    expect(order.slice(rangesFrom, rangesFrom + 30)).toEqual(Array(30).fill('range'))
  })

  test('a piece is handed out whatever else the Workers have to do, since nobody tells when that is through', async () => {
    const [left, right] = two()
    for (const lane of [left, right]) lane.outstandingBytes = 500 * PIECE_BYTES
    const turns = new PieceTurns([left, right], [])
    const all = Promise.all(Array.from({ length: 40 }, () => turns.run(group(), (lane) => lane.ask(group()), never)))
    expect([left.isIdle, right.isIdle]).not.toEqual([true, true])
    while (!(left.isIdle && right.isIdle)) await Promise.all([left.step(), right.step()])
    await all
  })

  test('what waits is forgotten once its signal aborts, and what failed makes room for the next', async () => {
    const [left, right] = two()
    const turns = new PieceTurns([left, right], [])
    const over = new AbortController()
    const run = (signal = never) => turns.run(group(), (lane) => lane.ask(group()), signal)
    const first = Array.from({ length: 30 }, () =>
      run().then(...([() => 'done', (error: Error) => error.message] as const)),
    )
    const left1 = run(over.signal)
    over.abort(new Error('nobody waits'))
    await expect(left1).rejects.toThrow('nobody waits')
    await left.step(new Error('the disk is full'))
    while (!(left.isIdle && right.isIdle)) await Promise.all([left.step(), right.step()])
    const ends = await Promise.all(first)
    expect(ends.filter((end) => end === 'done')).toHaveLength(29)
    expect(ends).toContain('the disk is full')
    expect(left.done.length + right.done.length).toBe(30)
    await expect(run(over.signal)).rejects.toThrow('nobody waits')
  })
})
