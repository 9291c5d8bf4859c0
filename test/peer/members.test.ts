/**
 * Goal: between two machines one connection is left, whichever of them called, and nobody is lost for it.
 * Method: members in one process, over links whose frames come late or, from some moment on, not at all.
 */
import { describe, expect, test } from 'bun:test'
import { never } from '../../src/base/clock.ts'
import { HoloError } from '../../src/base/errors.ts'
import type { FrameLink } from '../../src/base/link.ts'
import { memoryLink } from '../../src/discovery/memory.ts'
import type { PieceFetch } from '../../src/peer/piece-fetch.ts'
import type { PiecePeer } from '../../src/peer/piece-requests.ts'
import { randomSecret } from '../../src/trust/keys.ts'
import { emptyCatalog, type Member, member, until } from '../support/members.ts'

const secret = randomSecret()
const catalog = emptyCatalog()
const LATE_MS = 20

/** `link`, whose frames come when `pass` gives them on. */
function passing(link: FrameLink, pass: (deliver: () => void) => void): FrameLink {
  const { localKey, remoteKey, handshakeHash, initiator, address, closed } = link
  return {
    ...{ localKey, remoteKey, handshakeHash, initiator, address, closed },
    roundTripMs: () => link.roundTripMs(),
    send: (frame) => link.send(frame),
    drained: (signal) => link.drained(signal),
    onFrame: (listener) =>
      link.onFrame((frame) => {
        const copy = new Uint8Array(frame)
        pass(() => listener(copy))
      }),
    close: () => link.close(),
    destroy: () => link.destroy(),
  }
}

const late = (link: FrameLink) => passing(link, (deliver) => void setTimeout(deliver, LATE_MS))

/** Two members, the first of which has the greater or the smaller key, and holds the catalog. */
function two(isGreater: boolean): [Member, Member] {
  const pair = [member(secret), member(secret)].sort((left, right) =>
    Buffer.compare(left.keys.publicKey, right.keys.publicKey),
  )
  const [first, second] = (isGreater ? pair.reverse() : pair) as [Member, Member]
  first.library.hold(catalog)
  return [first, second]
}

/** A fetch that knows peers by name, as every fetch does, and notes whom it was shown last. */
class NotedFetch {
  readonly catalog = catalog.held.sha256
  readonly peers = new Map<string, PiecePeer>()
  shown: PiecePeer | undefined
  readonly #over = Promise.withResolvers<number[]>()

  look(peer: PiecePeer): void {
    this.shown = peer
    if (!this.peers.has(peer.name)) this.peers.set(peer.name, peer)
  }

  leave(name: string): void {
    this.peers.delete(name)
  }

  choke(): void {}
  got(): void {}

  run(): Promise<number[]> {
    return this.#over.promise
  }

  end(): void {
    this.#over.resolve([])
  }
}

async function areLinked(left: Member, right: Member): Promise<void> {
  await Bun.sleep(5 * LATE_MS)
  expect([left.swarm.peers().length, right.swarm.peers().length]).toEqual([1, 1])
  await until(right.swarm, () => right.swarm.isHeld(catalog.held.sha256))
}

describe.each([true, false])('two machines, the key of the first greater: %p', (isGreater) => {
  test('that call each other at the same time keep one connection, though each hears of its own call first', async () => {
    const [first, second] = two(isGreater)
    const [ours, theirs] = memoryLink(first.keys, second.keys, ['memory:1', 'memory:2'])
    const [theirCall, taken] = memoryLink(second.keys, first.keys, ['memory:3', 'memory:4'])
    first.swarm.accept(ours)
    second.swarm.accept(late(theirs))
    second.swarm.accept(theirCall)
    first.swarm.accept(late(taken))
    await areLinked(first, second)
  })

  test('ask each other over the connection that is left, though both have one name', async () => {
    const [first, second] = two(isGreater)
    const fetches = [new NotedFetch(), new NotedFetch()] as const
    const running = [first, second].map(({ swarm }, at) =>
      swarm.fetchPieces(fetches[at] as unknown as PieceFetch, never),
    )
    const [ours, theirs] = memoryLink(first.keys, second.keys, ['memory:1', 'memory:2'])
    const [theirCall, taken] = memoryLink(second.keys, first.keys, ['memory:2', 'memory:1'])
    first.swarm.accept(ours)
    second.swarm.accept(late(theirs))
    second.swarm.accept(theirCall)
    first.swarm.accept(late(taken))
    await areLinked(first, second)
    for (const fetch of fetches) {
      expect([...fetch.peers.values()]).toEqual([fetch.shown as PiecePeer])
      expect([...fetch.peers.values()][0]).toBe(fetch.shown as PiecePeer)
      fetch.end()
    }
    await Promise.all(running)
  })

  test('have a new connection where the old one hangs, and lose nothing when that ends', async () => {
    const [first, second] = two(isGreater)
    let hangs = false
    const hanging = (link: FrameLink) => passing(link, (deliver) => (hangs ? undefined : deliver()))
    const [old, oldOfSecond] = memoryLink(first.keys, second.keys)
    first.swarm.accept(hanging(old))
    second.swarm.accept(hanging(oldOfSecond))
    await areLinked(first, second)
    hangs = true
    for (let round = 0; round < 3; round++) {
      const [again, againOfSecond] = memoryLink(second.keys, first.keys)
      second.swarm.accept(again)
      first.swarm.accept(againOfSecond)
      await areLinked(first, second)
    }
    old.destroy()
    await areLinked(first, second)
  })

  test('part for good where one is dropped, be it that there is a spare connection', async () => {
    const [first, second] = two(isGreater)
    const [ours, theirs] = memoryLink(first.keys, second.keys, ['memory:1', 'memory:2'])
    const silent = (link: FrameLink) => passing(link, (deliver) => (linked ? undefined : deliver()))
    let linked = false
    first.swarm.accept(silent(ours))
    second.swarm.accept(silent(theirs))
    await areLinked(first, second)
    linked = true
    const [again, againOfSecond] = memoryLink(second.keys, first.keys, ['memory:3', 'memory:4'])
    second.swarm.accept(again)
    first.swarm.accept(againOfSecond)
    await areLinked(first, second)
    const [peer] = second.swarm.peers()
    second.swarm.drop(peer?.name ?? '', new HoloError('it lies', { code: 'blob-corrupt', blame: 'source' }))
    await Bun.sleep(LATE_MS)
    expect(second.swarm.peers()).toEqual([])
  })
})
