/** Whose word counts on a machine, and what is kept of it, with catalogs that are made up. */
import { describe, expect, test } from 'bun:test'
import { gzipSync } from 'node:zlib'
import { revokeKeyHere, trustKeyHere } from '../../src/app/keys.ts'
import { localCatalog } from '../../src/app/local-catalog.ts'
import { localJudge } from '../../src/app/local-judge.ts'
import { type Machine, machineWith } from '../../src/app/machine.ts'
import { settingsOf } from '../../src/app/settings-of.ts'
import { settleCatalog } from '../../src/app/settle-catalog.ts'
import { offerJudge } from '../../src/app/trust.ts'
import { never } from '../../src/base/clock.ts'
import { HoloError } from '../../src/base/errors.ts'
import { sha256Of } from '../../src/blob/digest.ts'
import { encodeCatalog } from '../../src/catalog/encode-catalog.ts'
import { blobPath } from '../../src/catalog/layout.ts'
import { catalogName } from '../../src/catalog/names.ts'
import { SignatureFolder } from '../../src/config/signature-folder.ts'
import { joinFleet } from '../../src/config/state.ts'
import { Library } from '../../src/store/library.ts'
import type { CatalogSignature, CatalogStatement } from '../../src/trust/catalog-signature.ts'
import { createFleet } from '../../src/trust/fleet.ts'
import type { Offerer } from '../../src/trust/judge.ts'
import { formatKey } from '../../src/trust/key-text.ts'
import { encodeSignature } from '../../src/trust/signature-json.ts'
import { type VerifiedCatalog, verifyCatalog } from '../../src/trust/verify-catalog.ts'
import { rootsIn, TemporaryDirectory } from '../support/golden.ts'
import { DirectoryBlobs, madeCatalog } from '../support/made-catalog.ts'
import { digestOf, namedKey, pairOf, signedBy } from '../support/signatures.ts'

const name = catalogName('0123456789abcdef', 'linux_amd64')
const BASE = '/opt/robocorp/ht'
const secret = new Uint8Array(32).fill(5)
const peer: Offerer = { kind: 'member', machineKey: pairOf('peer').publicKey }
const mirror: Offerer = { kind: 'substituter', trusted: false }

/** An environment of one file, in the library's blobs, and what it says of itself. */
function environmentOf(machine: Machine, text: string) {
  const blobs = new DirectoryBlobs(blobPath(machine.roots, digestOf('x')).split('/').slice(0, -4).join('/'), 'identity')
  const json = encodeCatalog(madeCatalog({ file: { kind: 'file', text, mode: 0o644 } }, BASE, blobs))
  const sha256 = sha256Of(json)
  const facts: Partial<CatalogStatement> = { catalog: name, base: BASE, sha256 }
  return { stored: gzipSync(json), sha256, facts }
}

async function machineIn(home: TemporaryDirectory): Promise<Machine> {
  const machine = machineWith(rootsIn(home.path))
  await joinFleet(machine.state, createFleet('line-4', secret), undefined, 0)
  return machine
}

/** What verifying an offer ends with: the catalog, or the code of the refusal. */
async function offered(
  machine: Machine,
  stored: Uint8Array,
  signatures: readonly CatalogSignature[],
  offerer: Offerer,
  allowRollback = false,
): Promise<VerifiedCatalog | string> {
  const judge = await offerJudge(machine, { allowRollback })
  const found = { name, stored, source: 'peer x', announced: undefined }
  try {
    return verifyCatalog({ ...found, judge: judge(offerer, signatures.map(encodeSignature)) })
  } catch (error) {
    if (!(error instanceof HoloError) || error.blame !== 'trust') throw error
    return error.code
  }
}

function accepted(verdict: VerifiedCatalog | string): VerifiedCatalog {
  if (typeof verdict === 'string') throw new Error(`refused: ${verdict}`)
  return verdict
}

describe('offerJudge()', () => {
  test('goes by fleets, lists and settings as they are now', async () => {
    using home = new TemporaryDirectory()
    const machine = await machineIn(home)
    const { stored, facts } = environmentOf(machine, 'one')
    const ofMember = signedBy('builder-7', facts, [secret])
    const ofFactory = signedBy('factory', facts)
    expect(accepted(await offered(machine, stored, [ofMember], peer)).publication.grounds).toBe('member')
    expect(await offered(machine, stored, [ofFactory], mirror)).toBe('key-unknown')
    await trustKeyHere(machine, formatKey(namedKey('factory')), undefined, never)
    expect(accepted(await offered(machine, stored, [ofFactory], mirror)).publication.grounds).toBe('trusted-key')
    await revokeKeyHere(machine, 'factory', never)
    expect(await offered(machine, stored, [ofFactory], mirror)).toBe('key-revoked')
    await Bun.write(machine.settingsFile, JSON.stringify({ 'holo-peer': { trust: 'keys' } }))
    expect(await offered(machine, stored, [ofMember], peer)).toBe('key-unknown')
  })

  test('remembers the last word of a key', async () => {
    using home = new TemporaryDirectory()
    const machine = await machineIn(home)
    const library = new Library(machine.roots)
    const [older, newer] = [environmentOf(machine, 'one'), environmentOf(machine, 'two')]
    const [said, saidSince] = [
      signedBy('factory', { ...older.facts, serial: 7 }, [secret]),
      signedBy('factory', { ...newer.facts, serial: 8 }, [secret]),
    ]
    await settleCatalog(library, accepted(await offered(machine, newer.stored, [saidSince], peer)), never)
    expect(await offered(machine, older.stored, [said], peer)).toBe('signature-older')
    const asked = accepted(await offered(machine, older.stored, [said], peer, true))
    expect(asked.publication.signature?.statement.serial).toBe(7)
    // Its word is still the later one.
    new SignatureFolder(machine.state).keep([said])
    expect(await offered(machine, older.stored, [said], peer)).toBe('signature-older')
  })
})

describe('settleCatalog()', () => {
  test('keeps who has signed it and where it came from, strangers too', async () => {
    using home = new TemporaryDirectory()
    const machine = await machineIn(home)
    const library = new Library(machine.roots)
    const { stored, facts, sha256 } = environmentOf(machine, 'one')
    const signatures = [signedBy('builder-7', facts, [secret]), signedBy('stranger', facts)]
    await settleCatalog(library, accepted(await offered(machine, stored, signatures, peer)), never)
    const folder = new SignatureFolder(machine.state)
    expect(folder.of(name)).toHaveLength(2)
    expect(folder.linesFor(name, sha256)).toHaveLength(2)
    expect(folder.linesFor(name, digestOf('other'))).toEqual([])
    const local = localCatalog(name, library, await localJudge(machine, await settingsOf(machine)), () => {})
    expect(local?.publication).toMatchObject({ grounds: 'own', origin: { source: 'peer x' } })
  })

  test('leaves a whole catalog that is here, and lets one of a revoked key give way', async () => {
    using home = new TemporaryDirectory()
    const machine = await machineIn(home)
    const library = new Library(machine.roots)
    const [mine, theirs] = [environmentOf(machine, 'one'), environmentOf(machine, 'two')]
    const first = accepted(await offered(machine, mine.stored, [signedBy('lost', mine.facts, [secret])], peer))
    const second = accepted(await offered(machine, theirs.stored, [signedBy('next', theirs.facts, [secret])], peer))
    await settleCatalog(library, first, never)
    await settleCatalog(library, second, never)
    const here = async () =>
      localCatalog(name, library, await localJudge(machine, await settingsOf(machine)), () => {})?.sha256
    expect(await here()).toBe(mine.sha256)
    await revokeKeyHere(machine, 'lost', never)
    expect(await here().catch((error) => error.code)).toBe('key-revoked')
    await settleCatalog(library, second, never)
    expect(await here()).toBe(theirs.sha256)
  })

  test('another builder’s word makes up for a revoked one, a holder’s does not', async () => {
    using home = new TemporaryDirectory()
    const machine = await machineIn(home)
    const library = new Library(machine.roots)
    const { stored, facts } = environmentOf(machine, 'one')
    const builders = [signedBy('lost', facts, [secret]), signedBy('holder', { ...facts, role: 'holder' }, [secret])]
    await settleCatalog(library, accepted(await offered(machine, stored, builders, peer)), never)
    await revokeKeyHere(machine, 'lost', never)
    const code = async () => {
      try {
        return localCatalog(name, library, await localJudge(machine, await settingsOf(machine)), () => {})?.publication
          .grounds
      } catch (error) {
        return error instanceof HoloError ? error.code : error
      }
    }
    expect(await code()).toBe('key-revoked')
    new SignatureFolder(machine.state).keep([signedBy('other-builder', facts, [secret])])
    expect(await code()).toBe('own')
  })
})
