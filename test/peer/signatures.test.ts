/** Signatures between peers: asked for with the catalog, judged before it is used, and never a reason to hang. */
import { describe, expect, test } from 'bun:test'
import { never } from '../../src/base/clock.ts'
import type { HoloError } from '../../src/base/errors.ts'
import { judge, type OfferJudge, type TrustPolicy } from '../../src/trust/judge.ts'
import { keyHex } from '../../src/trust/key-text.ts'
import { randomSecret } from '../../src/trust/keys.ts'
import { decodeSignatures, encodeSignatures } from '../../src/trust/signature-json.ts'
import { untrusted } from '../../src/trust/untrusted.ts'
import { failureOf } from '../support/failure-of.ts'
import { CATALOG, connect, emptyCatalog, HandPlayed, type Member, member, until } from '../support/members.ts'
import { namedKey, signedBy } from '../support/signatures.ts'

const secret = randomSecret()
const catalog = emptyCatalog()
const facts = {
  catalog: CATALOG,
  sha256: catalog.held.sha256,
  base: '/home/robot/.robocorp/holotree',
}
const KEYS_ONLY: TrustPolicy = {
  rule: 'keys',
  trusted: [namedKey('factory')],
  isRevoked: () => false,
  secrets: [secret],
  allowRollback: false,
}

/** By a policy, noting what came. */
function judgeBy(policy: TrustPolicy, heard: { machine: string; lines: number }[] = []): OfferJudge {
  return (offerer, lines) => {
    heard.push({ machine: offerer.kind === 'member' ? keyHex(offerer.machineKey) : '', lines: lines.length })
    return (at) => {
      const known = { ...at, offerer, pieceTable: undefined, lastWords: new Map() }
      const verdict = judge(decodeSignatures(lines), policy, known)
      if (!verdict.accepted) throw untrusted(`Catalog ${at.name} of ${at.source}`, verdict)
      return verdict
    }
  }
}

async function clientOf(...seeds: readonly Member[]): Promise<Member> {
  const client = member(secret, 'client')
  for (const seed of seeds) connect(client, seed)
  await until(client.swarm, () => client.swarm.peers().filter(({ catalogs }) => catalogs > 0).length === seeds.length)
  return client
}

function seedWith(signatures?: Uint8Array): Member {
  const seed = member(secret)
  seed.library.hold(catalog)
  if (signatures !== undefined) seed.library.signed.set(catalog.held.sha256, signatures)
  return seed
}

describe('FleetSwarm.find()', () => {
  test('brings the signatures of a catalog to its judge', async () => {
    const signature = signedBy('factory', facts)
    const seed = seedWith(encodeSignatures([signature]))
    const client = await clientOf(seed)
    const heard: { machine: string; lines: number }[] = []
    const found = await client.swarm.find(CATALOG, { waitMs: 0, judge: judgeBy(KEYS_ONLY, heard) }, never)
    expect(found?.catalog.publication).toMatchObject({
      grounds: 'trusted-key',
      signature,
      believed: [signature],
      strangers: [],
    })
    expect(heard).toEqual([{ machine: keyHex(seed.keys.publicKey), lines: 1 }])
  })

  test('goes on to a holder whose word counts, and bans nobody for lacking one', async () => {
    const [unsigned, signed] = [seedWith(), seedWith(encodeSignatures([signedBy('factory', facts)]))]
    const client = await clientOf(unsigned, signed)
    const found = await client.swarm.find(CATALOG, { waitMs: 0, judge: judgeBy(KEYS_ONLY) }, never)
    expect(found?.catalog.publication.grounds).toBe('trusted-key')
    expect(client.swarm.peers()).toHaveLength(2)
    expect(client.swarm.isBanned(unsigned.keys.publicKey)).toBe(false)
  })

  test('fetches a catalog once, however many holders are asked who has signed it', async () => {
    const lines = encodeSignatures([signedBy('factory', facts)])
    const seeds = [seedWith(), seedWith(), seedWith(lines)]
    const client = await clientOf(...seeds)
    const found = await client.swarm.find(CATALOG, { waitMs: 0, judge: judgeBy(KEYS_ONLY) }, never)
    const last = client.swarm.peers().find(({ name }) => name === found?.catalog.source)
    expect(last?.machineKey).toEqual(Uint8Array.from(seeds[2]?.keys.publicKey ?? []))
    const sent = seeds.map((seed) => seed.swarm.peers()[0]?.sentBytes ?? 0)
    expect(sent.toSorted((left, right) => left - right)).toEqual(
      [0, catalog.stored.byteLength, lines.byteLength].toSorted((left, right) => left - right),
    )
  })

  test('never takes the bytes of a liar for those of the next holder', async () => {
    const [liar, honest] = [member(secret), seedWith()]
    liar.library.hold({ held: catalog.held, stored: emptyCatalog('other').stored })
    const client = await clientOf(liar, honest)
    const judge = judgeBy({ ...KEYS_ONLY, rule: 'fleet' })
    const found = await client.swarm.find(CATALOG, { waitMs: 0, judge }, never)
    expect(found?.catalog.sha256).toBe(catalog.held.sha256)
    expect(client.swarm.isBanned(honest.keys.publicKey)).toBe(false)
  })

  test('says that nobody is trusted, and why, where all are refused', async () => {
    const client = await clientOf(seedWith(), seedWith(Buffer.from('rubbish\n\n{}\n')))
    const error = await failureOf(client.swarm.find(CATALOG, { waitMs: 0, judge: judgeBy(KEYS_ONLY) }, never))
    expect(error).toMatchObject({ code: 'catalog-unsigned', blame: 'trust' })
    expect((error as HoloError).message).toMatch(
      /^Catalog \S+ of peer \S+ \(\S+\) is not trusted: nobody has signed it$/,
    )
    expect(client.swarm.peers()).toHaveLength(2)
  })

  test('takes the word of a member that speaks version 1, and does not ask it for signatures', async () => {
    const client = member(secret, 'client')
    const old = new HandPlayed(client, secret)
    await until(client.swarm, () => client.swarm.peers().length === 1)
    old.say({ type: 'have', added: [catalog.held], removed: [] })
    const found = client.swarm.find(CATALOG, { waitMs: 5_000, judge: judgeBy({ ...KEYS_ONLY, rule: 'fleet' }) }, never)
    const { request } = await old.hear('catalog')
    const { stored } = catalog
    const part = {
      request,
      index: 0,
      encoding: 'gzip',
      storedBytes: stored.byteLength,
      last: true,
      chunk: stored,
    } as const
    old.say({ type: 'parts', parts: [part] })
    expect((await found)?.catalog.publication.grounds).toBe('proved-member')
    expect(old.heard.some(({ type }) => type === 'signatures')).toBe(false)
  })
})
