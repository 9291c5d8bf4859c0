/** The piece table, between members over in-memory links: it is asked for once somebody gains by it. */
import { expect, test } from 'bun:test'
import { never, systemClock } from '../../src/base/clock.ts'
import { roomLogger } from '../../src/base/log.ts'
import { seededRandom } from '../../src/base/random.ts'
import { OwnHoldings } from '../../src/peer/own-holdings.ts'
import { PieceServer } from '../../src/peer/piece-server.ts'
import { randomSecret } from '../../src/trust/keys.ts'
import { connect, emptyCatalog, type Member, member, until } from '../support/members.ts'
import { MadePieces, MemoryServed } from '../support/memory-pieces.ts'

const secret = randomSecret()
const catalog = emptyCatalog()
const { sha256 } = catalog.held
const made = new MadePieces([1_000, 70_000, 3])

interface Daemon extends Member {
  readonly holdings: OwnHoldings
}

function daemon(holds: boolean): Daemon {
  const served = new MemoryServed(sha256, made, holds ? undefined : [])
  const holdings = new OwnHoldings(systemClock)
  const pieceServer = new PieceServer({
    served,
    clock: systemClock,
    random: seededRandom(7),
    log: roomLogger('peer'),
    uploadLimit: undefined,
  })
  const each = member(secret, 'daemon', systemClock, { pieceServer, ownHoldings: holdings })
  if (holds) {
    each.library.hold(catalog)
    Object.assign(each.library, { pieces: served })
  }
  return { ...each, holdings }
}

/** One that fetches, with two who have all of it, and one who has nothing and wants nothing. */
async function amongHolders(): Promise<{ taker: Daemon; idle: Daemon }> {
  const [taker, idle] = [daemon(false), daemon(false)]
  for (const other of [daemon(true), daemon(true), idle]) connect(taker, other)
  await until(taker.swarm, () => taker.swarm.peers().length === 3 && taker.swarm.isHeld(sha256))
  return { taker, idle }
}

/** What `findTable` has found by now. */
function tableFor({ swarm }: Member, signal: AbortSignal = never) {
  const state: { found?: Uint8Array | undefined } = {}
  const found = swarm.findTable(sha256, made.pieces.length, signal).then((each) => {
    state.found = each?.table
    return each
  })
  return { state, found }
}

test('is not asked for among those who have all, until one of the others begins to fetch', async () => {
  const { taker, idle } = await amongHolders()
  const { state, found } = tableFor(taker)
  await Bun.sleep(50)
  expect(state.found).toBeUndefined()
  using _begun = idle.holdings.begin(sha256, made.pieces.length, [])
  expect((await found)?.table.byteLength).toBe(32 * made.pieces.length)
})

test('is asked for at once where a command is connected, which does not tell what it wants', async () => {
  const { taker } = await amongHolders()
  const command = member(secret, 'client')
  connect(taker, command)
  await until(taker.swarm, () => taker.swarm.peers().length === 4)
  expect((await tableFor(taker).found)?.table.byteLength).toBe(32 * made.pieces.length)
})

test('is not waited for any more once the fetch is over', async () => {
  const { taker } = await amongHolders()
  const over = new AbortController()
  const { found } = tableFor(taker, over.signal)
  over.abort(new Error('the pieces are here'))
  await expect(found).rejects.toThrow('the pieces are here')
})
