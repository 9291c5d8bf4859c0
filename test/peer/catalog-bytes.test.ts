/** A catalog from one that is fetching it, in place of its holder, which is busy; and what that one can do wrong. */
import { describe, expect, test } from 'bun:test'
import { never } from '../../src/base/clock.ts'
import { CATALOG_TURN_MS } from '../../src/base/limits.ts'
import type { Message } from '../../src/peer/messages.ts'
import { randomSecret } from '../../src/trust/keys.ts'
import { ownWord } from '../../src/trust/publication.ts'
import { CATALOG, emptyCatalog, HandPlayed, member, until } from '../support/members.ts'

const secret = randomSecret()
const catalog = emptyCatalog()
const { sha256 } = catalog.held
const VERSION = 3

/** The first part of an answer, or all of it. */
const part = (request: number, chunk: Uint8Array, storedBytes = chunk.byteLength): Message => ({
  type: 'parts',
  parts: [{ request, index: 0, encoding: 'gzip', storedBytes, last: storedBytes === chunk.byteLength, chunk }],
})

/** A machine that looks for the catalog, one that holds it, and one that fetches it. */
async function crowd(version = VERSION) {
  const taker = member(secret, 'client')
  const [holder, passer] = [new HandPlayed(taker, secret, VERSION), new HandPlayed(taker, secret, version)]
  holder.say({ type: 'have', added: [catalog.held], removed: [] })
  await until(taker.swarm, () => taker.swarm.holdersOf(CATALOG) === 1 && taker.swarm.peers().length === 2)
  const found = taker.swarm.find(CATALOG, { waitMs: 0, judge: () => ownWord }, never)
  const { request } = await holder.hear('catalog')
  const { request: signatures } = await holder.hear('signatures')
  holder.say({ type: 'missing', request: signatures, reason: 'not-held', indexes: [0] })
  const fetches = () => passer.say({ type: 'pieces-held', catalog: sha256, count: 3, bits: new Uint8Array(1) })
  return { taker, holder, passer, request, found, fetches }
}

describe('FleetSwarm.find()', () => {
  test('takes a catalog from one that fetches it where the holder has not begun, and lets the holder off', async () => {
    const { holder, passer, found, fetches } = await crowd()
    fetches()
    const { request } = await passer.hear('catalog')
    passer.say(part(request, catalog.stored))
    expect((await found)?.catalog.sha256).toBe(sha256)
    expect(await holder.hear('cancel')).toMatchObject({ indexes: [0] })
  })

  test('takes a catalog from one that is being sent it, and waits as long as more of it comes', async () => {
    const { passer, found } = await crowd(4)
    passer.say({ type: 'catalog-coming', catalog: sha256 })
    const { request } = await passer.hear('catalog')
    const third = Math.ceil(catalog.stored.byteLength / 3)
    for (let from = 0; from < catalog.stored.byteLength; from += third) {
      const chunk = catalog.stored.subarray(from, from + third)
      const last = from + third >= catalog.stored.byteLength
      const storedBytes = from === 0 ? catalog.stored.byteLength : undefined
      passer.say({ type: 'parts', parts: [{ request, index: 0, encoding: 'gzip', storedBytes, last, chunk }] })
      if (!last) await Bun.sleep(0.7 * CATALOG_TURN_MS)
    }
    expect((await found)?.catalog.sha256).toBe(sha256)
  })

  test('stays with the holder once that has begun', async () => {
    const { holder, passer, request, found, fetches } = await crowd()
    const middle = Math.floor(catalog.stored.byteLength / 2)
    holder.say(part(request, catalog.stored.subarray(0, middle), catalog.stored.byteLength))
    await Bun.sleep(20)
    fetches()
    holder.say({
      type: 'parts',
      parts: [
        {
          request,
          index: 0,
          encoding: 'gzip',
          storedBytes: undefined,
          last: true,
          chunk: catalog.stored.subarray(middle),
        },
      ],
    })
    expect((await found)?.catalog.sha256).toBe(sha256)
    expect(passer.heard.some(({ type }) => type === 'catalog')).toBe(false)
  })

  test('waits for the holder where the other one does not have it after all', async () => {
    const { holder, passer, request, found, fetches } = await crowd()
    fetches()
    const asked = await passer.hear('catalog')
    passer.say({ type: 'missing', request: asked.request, reason: 'not-held', indexes: [0] })
    holder.say(part(request, catalog.stored))
    expect((await found)?.catalog.sha256).toBe(sha256)
  })

  test.each<[string, (passer: HandPlayed, request: number) => void]>([
    ['sends another one', (passer, request) => passer.say(part(request, emptyCatalog('v6.6.6').stored))],
    ['sends no catalog', (passer, request) => passer.say(part(request, new Uint8Array(100)))],
    [
      'begins and does not go on',
      (passer, request) => passer.say(part(request, new Uint8Array(1), catalog.stored.byteLength)),
    ],
  ])('asks the holder again where the other one %s, and parts with nobody', async (_what, say) => {
    const { taker, holder, passer, request, found, fetches } = await crowd()
    fetches()
    say(passer, (await passer.hear('catalog')).request)
    await holder.hear('cancel')
    holder.say({ type: 'missing', request, reason: 'cancelled', indexes: [0] })
    const again = () => holder.heard.filter(({ type }) => type === 'catalog')[1] as { request: number } | undefined
    while (again() === undefined) await Bun.sleep(5)
    holder.say(part(again()?.request ?? -1, catalog.stored))
    expect((await found)?.catalog.sha256).toBe(sha256)
    expect((await found)?.warnings).toEqual([])
    expect(taker.swarm.bans()).toEqual([])
  })

  // Else it would send on, and be waited for, for as long as it liked.
  test('takes its question back from one that begins and does not go on', async () => {
    const { holder, passer, found, fetches } = await crowd()
    fetches()
    const { request } = await passer.hear('catalog')
    passer.say(part(request, new Uint8Array(1), catalog.stored.byteLength))
    expect(await passer.hear('cancel')).toMatchObject({ request, indexes: [0] })
    holder.link.destroy()
    await found.catch(() => {})
  })
})
