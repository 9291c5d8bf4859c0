import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { RareAnnouncer, type Rarity, rareCatalogs } from '../../src/app/rare-catalogs.ts'
import { PEERS_WANTED, RARE_CATALOGS_MAX, RARE_HOLDERS, RARE_LOOK_MS } from '../../src/base/limits.ts'
import type { CatalogName } from '../../src/catalog/tree.ts'
import { catalogTopic } from '../../src/trust/fleet.ts'
import { randomSecret } from '../../src/trust/keys.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { runs } from '../support/runs.ts'

const nameOf = (index: number) => `${index.toString(16).padStart(16, '0')}v12.linux_amd64` as CatalogName

test('rareCatalogs() names what few hold, the rarest first, within its bound, and nothing in a small fleet', () => {
  const counts = fc.array(fc.nat(12), { maxLength: 3 * RARE_CATALOGS_MAX })
  fc.assert(
    fc.property(counts, fc.nat(2 * PEERS_WANTED), fc.array(fc.nat(200)), (holders, neighbours, before) => {
      const held = holders.map((_, index) => nameOf(index))
      const count = (name: CatalogName) => holders[Number.parseInt(name.slice(0, 16), 16)] ?? 0
      const announced = new Set(before.map(nameOf))
      const rare = rareCatalogs({ held, neighbours, holders: count }, announced)
      if (neighbours < PEERS_WANTED) expect(rare).toEqual([])
      expect(rare.length).toBeLessThanOrEqual(RARE_CATALOGS_MAX)
      const shown = rare.map(count)
      expect(shown).toEqual([...shown].sort((left, right) => left - right))
      const most = held.filter((name) => count(name) < RARE_HOLDERS)
      if (neighbours >= PEERS_WANTED && rare.length < RARE_CATALOGS_MAX)
        for (const name of most) expect(rare).toContain(name)
      for (const name of rare) expect(count(name)).toBeLessThan(RARE_HOLDERS * (announced.has(name) ? 2 : 1))
    }),
    { numRuns: runs(200) },
  )
})

test('RareAnnouncer follows library, neighbours and secrets', async () => {
  const [clock, over] = [new ManualClock(), new AbortController()]
  let rarity: Rarity = { held: [nameOf(1), nameOf(2)], neighbours: PEERS_WANTED - 1, holders: () => 0 }
  let secrets = [randomSecret()]
  const announced = new Set<string>()
  const hex = (topic: Uint8Array) => Buffer.from(topic).toString('hex')
  const announcer = new RareAnnouncer({
    rarity: () => rarity,
    secrets: () => secrets,
    announce: (topic) => {
      announced.add(hex(topic))
      return { flushed: async () => {}, leave: async () => void announced.delete(hex(topic)) }
    },
    clock,
  })
  const expected = (...names: CatalogName[]) =>
    new Set(names.flatMap((name) => secrets.map((secret) => hex(catalogTopic(secret, name)))))
  const running = announcer.run(over.signal)
  await clock.advance(1)
  expect(announced.size).toBe(0)
  rarity = { ...rarity, neighbours: PEERS_WANTED }
  await clock.advance(RARE_LOOK_MS)
  expect(announced).toEqual(expected(nameOf(1), nameOf(2)))
  // A second secret, while a fleet changes its own; then two neighbours more or less, and at last many.
  secrets = [...secrets, randomSecret()]
  announcer.look()
  await clock.advance(1)
  expect(announced).toEqual(expected(nameOf(1), nameOf(2)))
  rarity = { ...rarity, holders: (name) => (name === nameOf(1) ? RARE_HOLDERS : 2 * RARE_HOLDERS) }
  await clock.advance(RARE_LOOK_MS)
  expect(announced).toEqual(expected(nameOf(1)))
  over.abort()
  await running
})
