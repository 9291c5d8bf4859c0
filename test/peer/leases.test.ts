/** Leases between members, over in-memory links; `test/sim/leases.test.ts` has what they decide. */
import { describe, expect, test } from 'bun:test'
import { never, systemClock } from '../../src/base/clock.ts'
import { LEASES_MAX } from '../../src/base/substituter-limits.ts'
import { parseCatalogName } from '../../src/catalog/names.ts'
import type { CatalogName } from '../../src/catalog/tree.ts'
import { LeaseDesk } from '../../src/peer/lease-desk.ts'
import { keyPairFrom, randomSecret } from '../../src/trust/keys.ts'
import { ownWord } from '../../src/trust/publication.ts'
import { CATALOG, connect, emptyCatalog, HandPlayed, type Member, member, until } from '../support/members.ts'

const secret = randomSecret()
const catalog = emptyCatalog()

function withDesk(role: 'daemon' | 'client' = 'daemon'): Member & { readonly desk: LeaseDesk } {
  const keyPair = keyPairFrom(randomSecret())
  const desk = new LeaseDesk({ key: keyPair.publicKey, serves: role === 'daemon' }, systemClock)
  const made = member(secret, role, systemClock, { leases: desk })
  // Both sides rank a machine by the key of its links.
  return { ...made, keys: keyPair, desk }
}

const nameOf = (number: number) =>
  parseCatalogName(`${number.toString(16).padStart(16, '0')}v12.linux_amd64`) as CatalogName

describe('LeaseDesk', () => {
  test('lets one of two take a lease, and the other one when that has left', async () => {
    const [left, right] = [withDesk(), withDesk()]
    connect(left, right)
    for (const { swarm } of [left, right]) await until(swarm, () => swarm.peers().length > 0)
    const leases = [left.desk.want(CATALOG, true), right.desk.want(CATALOG, true)] as const
    const turns = await Promise.all(leases.map((lease) => lease.settled(never)))
    expect(turns.map(({ turn }) => turn).sort()).toEqual(['ours', 'theirs'])
    const waiting = turns[0]?.turn === 'theirs' ? 0 : 1
    expect(turns[waiting]).toMatchObject({ member: { name: [left, right][waiting]?.swarm.peers()[0]?.name } })
    const changed = leases[waiting].changed(never)
    await [left, right][1 - waiting]?.swarm[Symbol.asyncDispose]()
    await changed
    expect(await leases[waiting].settled(never)).toEqual({ turn: 'ours' })
  })

  test('lets a machine without peers, or with commands only, go on at once', () => {
    const alone = withDesk()
    expect(alone.desk.want(CATALOG, true).turn()).toEqual({ turn: 'ours' })
    const [daemon, command] = [withDesk(), withDesk('client')]
    connect(daemon, command)
    expect(daemon.desk.want(CATALOG, true).turn()).toEqual({ turn: 'ours' })
  })

  test('tells whoever comes later, and what was told of is found there before it is held', async () => {
    const [payer, other] = [withDesk(), withDesk()]
    const lease = payer.desk.want(CATALOG, true)
    expect(lease.turn()).toEqual({ turn: 'ours' })
    lease.knows({ sha256: catalog.held.sha256, storedBytes: catalog.held.storedBytes })
    payer.library.storedCatalog = async (name) => (name === CATALOG ? catalog.stored : undefined)
    connect(payer, other)
    const found = await other.swarm.find(CATALOG, { waitMs: 5_000, judge: () => ownWord }, never)
    expect(found?.catalog.sha256).toBe(catalog.held.sha256)
    expect(other.swarm.isHeld(catalog.held.sha256)).toBeFalse()
    lease[Symbol.dispose]()
    expect(payer.desk.list()).toEqual([])
  })

  test('says nothing to members of an earlier version, and parts with one that says it all the same', async () => {
    const payer = withDesk()
    const peer = new HandPlayed(payer, secret, 2)
    await until(payer.swarm, () => payer.swarm.peers().length > 0)
    payer.desk.want(CATALOG, true)
    peer.say({ type: 'lease', name: CATALOG, state: 'wish', catalog: undefined })
    await peer.hear('bye')
    expect(peer.heard.map(({ type }) => type)).not.toContain('lease')
    expect(peer.heard.at(-1)).toMatchObject({ type: 'bye', code: 'protocol-violation' })
  })

  test('parts with a member that asks for too many', async () => {
    const payer = withDesk()
    const peer = new HandPlayed(payer, secret, 3)
    for (let number = 0; number <= LEASES_MAX; number++) {
      peer.say({ type: 'lease', name: nameOf(number), state: 'held', catalog: undefined })
    }
    expect(await peer.hear('bye')).toMatchObject({ code: 'protocol-violation' })
  })

  test('asks for no more than a member may', async () => {
    const payer = withDesk()
    const peer = new HandPlayed(payer, secret, 3)
    for (let number = 0; number < 2 * LEASES_MAX; number++) payer.desk.want(nameOf(number), true)
    await peer.hear('lease')
    expect(peer.heard.filter(({ type }) => type === 'lease')).toHaveLength(LEASES_MAX)
    expect(payer.desk.list().length).toBeLessThanOrEqual(2 * LEASES_MAX)
  })
})
