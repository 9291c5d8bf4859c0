/** Attacks by way of signatures: each ends in a refusal that names its reason, at a bounded cost. */
import { describe, expect, test } from 'bun:test'
import { never } from '../../src/base/clock.ts'
import { SIGNATURE_BYTES_MAX, SIGNATURE_KEYS_MAX, SIGNATURES_MAX } from '../../src/base/limits.ts'
import { statePaths } from '../../src/catalog/layout.ts'
import { catalogName } from '../../src/catalog/names.ts'
import { SignatureFolder } from '../../src/config/signature-folder.ts'
import { judge, type Known, type TrustPolicy } from '../../src/trust/judge.ts'
import { keyHex } from '../../src/trust/key-text.ts'
import { randomSecret } from '../../src/trust/keys.ts'
import { ownWord } from '../../src/trust/publication.ts'
import { decodeSignatures, encodeSignature } from '../../src/trust/signature-json.ts'
import { failureOf } from '../support/failure-of.ts'
import { rootsIn, TemporaryDirectory } from '../support/golden.ts'
import { CATALOG, connect, emptyCatalog, member, until } from '../support/members.ts'
import { digestOf, namedKey, pairOf, STATEMENT, signedBy } from '../support/signatures.ts'

const secret = randomSecret()
const folderIn = (home: TemporaryDirectory) => new SignatureFolder(statePaths(rootsIn(home.path)))

const policy: TrustPolicy = {
  rule: 'fleet',
  trusted: [namedKey('factory')],
  isRevoked: (key) => keyHex(key) === keyHex(pairOf('stolen').publicKey),
  secrets: [secret],
  allowRollback: false,
}
const known: Known = {
  name: STATEMENT.catalog,
  base: STATEMENT.base,
  sha256: STATEMENT.sha256,
  pieceTable: undefined,
  offerer: { kind: 'member', machineKey: pairOf('neighbour').publicKey },
  lastWords: new Map(),
}

describe('a hostile peer', () => {
  test('cannot make us take more signatures than the bound, and is parted with for trying', async () => {
    const [seed, client] = [member(secret), member(secret, 'client')]
    const catalog = emptyCatalog()
    seed.library.hold(catalog)
    seed.library.signed.set(catalog.held.sha256, new Uint8Array(SIGNATURES_MAX * SIGNATURE_BYTES_MAX + 1))
    connect(client, seed)
    await until(client.swarm, () => client.swarm.peers()[0]?.catalogs === 1)
    expect(await client.swarm.find(CATALOG, { waitMs: 0, judge: () => ownWord }, never)).toBeUndefined()
    expect(client.swarm.isBanned(seed.keys.publicKey)).toBe(true)
  })

  test('cannot hide a good signature behind many bad ones of its key', () => {
    const good = signedBy('factory')
    const forged = { ...good, signature: new Uint8Array(64), statement: { ...good.statement, serial: 2 ** 50 } }
    // It can drop the good one, and so lose its own offer; it cannot make another of it.
    const verdict = judge(decodeSignatures([good, forged].map(encodeSignature)), policy, known)
    expect(verdict).toMatchObject({ accepted: false, reason: 'signature-wrong' })
  })

  test('cannot pass a catalog off by the tag of a member, copied from another signature', () => {
    const { memberTags } = signedBy('member', {}, [secret])
    const thief = { ...signedBy('thief', {}, []), memberTags }
    const mirror = { ...known, offerer: { kind: 'substituter', trusted: false } } as const
    expect(judge([thief], policy, mirror)).toMatchObject({ accepted: false, reason: 'key-unknown' })
    expect(judge([thief], policy, known)).toMatchObject({ accepted: true, grounds: 'proved-member' })
  })

  test('cannot make a stolen, revoked builder good again by saying that somebody holds it', () => {
    const offers = [signedBy('stolen', {}, [secret]), signedBy('accomplice', { role: 'holder' }, [secret])]
    expect(judge(offers, policy, known)).toMatchObject({ accepted: false, reason: 'key-revoked' })
  })
})

describe('SignatureFolder', () => {
  test('keeps strangers only while there is room, and never for a known key', () => {
    using home = new TemporaryDirectory()
    const folder = folderIn(home)
    const strangers = Array.from({ length: SIGNATURES_MAX + 10 }, (_, index) => signedBy(`stranger-${index}`))
    folder.keep([signedBy('factory')])
    folder.keep([], strangers)
    expect(folder.of(STATEMENT.catalog)).toHaveLength(SIGNATURES_MAX)
    folder.keep([signedBy('member', {}, [secret])])
    const names = folder.of(STATEMENT.catalog).map(({ key }) => key.name)
    expect(names).toContain('factory')
    expect(names).toContain('member')
    expect(folder.linesFor(STATEMENT.catalog, STATEMENT.sha256)).toHaveLength(SIGNATURES_MAX)
  })

  test('is bounded whatever members say', () => {
    using home = new TemporaryDirectory()
    const folder = folderIn(home)
    for (let index = 0; index < SIGNATURE_KEYS_MAX + 3; index++) folder.keep([signedBy(`member-${index}`)])
    expect(folder.of(STATEMENT.catalog)).toHaveLength(SIGNATURE_KEYS_MAX)
  })

  test('passes over files that are damaged, misplaced or no files of ours', async () => {
    using home = new TemporaryDirectory()
    const folder = folderIn(home)
    const [good, other] = [signedBy('factory'), signedBy('other')]
    folder.keep([good])
    const at = `${statePaths(rootsIn(home.path)).signatures}/${STATEMENT.catalog}`
    await Bun.write(`${at}/${keyHex(other.key.publicKey)}.json`, encodeSignature(good))
    await Bun.write(`${at}/${'a'.repeat(64)}.json`, 'x'.repeat(SIGNATURE_BYTES_MAX + 1))
    await Bun.write(`${at}/${'b'.repeat(64)}.json`, '{}')
    await Bun.write(`${at}/notes.txt`, 'mine')
    expect(folder.of(STATEMENT.catalog)).toEqual([good])
    await Bun.write(`${at}/origin.json`, '{"sha256":7}')
    expect(folder.originOf(STATEMENT.catalog, STATEMENT.sha256)).toBeUndefined()
    folder.noteOrigin(STATEMENT.catalog, { sha256: STATEMENT.sha256, source: 'peer x', timeMs: 5 })
    expect(folder.originOf(STATEMENT.catalog, STATEMENT.sha256)?.source).toBe('peer x')
    expect(folder.originOf(STATEMENT.catalog, digestOf('other'))).toBeUndefined()
    expect(folder.of(catalogName('fedcba9876543210', 'linux_amd64'))).toEqual([])
  })

  test('says so where it cannot be written', async () => {
    using home = new TemporaryDirectory()
    await Bun.write(`${home.path}/holo-peer/signatures`, 'a file')
    const keeping = Promise.resolve().then(() => folderIn(home).keep([signedBy('factory')]))
    expect(await failureOf(keeping)).toMatchObject({ blame: 'host' })
  })
})
