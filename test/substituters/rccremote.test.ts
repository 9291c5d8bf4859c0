import { describe, expect, test } from 'bun:test'
import { never } from '../../src/base/clock.ts'
import type { Sha256Digest } from '../../src/blob/digest.ts'
import { distinctBlobs } from '../../src/catalog/walk.ts'
import { Library } from '../../src/store/library.ts'
import { openPushTarget, openSubstituter } from '../../src/substituters/open-substituter.ts'
import { orderOf } from '../../src/substituters/rccremote.ts'
import { ownWord } from '../../src/trust/publication.ts'
import { verifyCatalog } from '../../src/trust/verify-catalog.ts'
import { failureOf } from '../support/failure-of.ts'
import { FaultProxy } from '../support/fault-proxy.ts'
import { FetchingLibrary } from '../support/fetching-library.ts'
import { smallCold, smallVersions, TemporaryDirectory, unpackSmall } from '../support/golden.ts'
import { type MadeEnvironment, madeEnvironment, variousFiles } from '../support/made-environment.ts'
import { rccremoteTest, sharedHolotree, startRccremote } from '../support/rccremote.ts'
import { goZip, rccremoteTwin } from '../support/rccremote-twin.ts'
import { AROUND, addressOf, conforms, conformsUnderFaults, environment, failure, SECRET, TERMS } from './conformance.ts'

async function openRemote(environments: readonly MadeEnvironment[] = [environment]) {
  const twin = rccremoteTwin(environments, SECRET)
  const proxy = await FaultProxy.start(twin.url)
  const terms = { ...TERMS, credentialsEnv: 'SECRET' }
  const substituter = openSubstituter(addressOf(`rccremote+${proxy.url.href}`), terms, AROUND)
  return {
    twin,
    proxy,
    substituter,
    [Symbol.asyncDispose]: async () => {
      await substituter[Symbol.asyncDispose]()
      await proxy[Symbol.asyncDispose]()
      twin[Symbol.dispose]()
    },
  }
}

const place = {
  name: 'an rccremote',
  test,
  open: openRemote,
  isBulk: ({ path }: { readonly path: string }) => path.startsWith('/delta/'),
}
conforms(place)
conformsUnderFaults(place)

describe('an rccremote', () => {
  test('gives each of two catalogs with the same blobs its own, although it mixes up their zips', async () => {
    const files = variousFiles()
    const renamed = Object.fromEntries(Object.entries(files).map(([name, text]) => [`${name}-too`, text]))
    const twins = [madeEnvironment(files, '1111111111111111'), madeEnvironment(renamed, '2222222222222222')]
    await using opened = await openRemote(twins)
    for (const { name, stored } of twins) {
      const found = await opened.substituter.find(name, never)
      expect(Buffer.compare(found?.stored ?? Buffer.alloc(0), stored)).toBe(0)
    }
  })

  test('is asked for the same list by everybody, so that it packs once', async () => {
    await using opened = await openRemote()
    await opened.substituter.find(environment.name, never)
    await opened.substituter.find(environment.name, never)
    expect(opened.twin.zips.size).toBe(1)
    const digests = environment.refs.map(({ digest }) => digest as Sha256Digest)
    expect(orderOf(environment.name, digests)).toEqual(orderOf(environment.name, digests.toReversed()))
  })

  test('that packs bombs, or what nobody asked for, is stopped and blamed', async () => {
    const bomb = goZip([['library/00/00/00/no', Buffer.alloc(200 * 1024 * 1024)]])
    const endless = goZip(environment.refs.slice(0, 5).map(({ digest }) => [`x/${digest}`, Buffer.alloc(20_000_000)]))
    for (const body of [bomb, endless, bomb.subarray(0, 1000), Buffer.from('PK not a zip'), Buffer.alloc(0)]) {
      await using opened = await openRemote()
      opened.proxy.fault = ({ path }) =>
        path.startsWith('/delta/') ? { kind: 'answer', status: 200, body } : undefined
      expect((await failure(opened.substituter.find(environment.name, never))).blame).toBe('source')
    }
  })

  test('with the digests of a compress.no library is refused', async () => {
    await using opened = await openRemote()
    opened.proxy.fault = () => ({
      kind: 'answer',
      status: 200,
      body: Buffer.from(`${'0'.repeat(32)}\n${'1'.repeat(32)}`),
    })
    const error = await failure(opened.substituter.find(environment.name, never))
    expect([error.blame, error.code]).toEqual(['source', 'source-invalid'])
  })

  test('is no place to push to', async () => {
    const address = addressOf('rccremote+http://127.0.0.1:4653')
    const pushing = Promise.try(() => openPushTarget(address, TERMS, AROUND))
    expect(await failureOf(pushing)).toMatchObject({ code: 'push-target-invalid', blame: 'input' })
  })
})

describe('the real rccremote', () => {
  rccremoteTest('gives every version of the small environment, whole', async () => {
    using folder = new TemporaryDirectory()
    const library = new Library(unpackSmall('gzip', folder.path))
    await using server = await startRccremote(sharedHolotree(library.roots.hololib, folder.path), folder.path)
    for (const version of smallVersions) {
      // A source of its own each time, as every command has.
      await using source = openSubstituter(addressOf(`rccremote+${server.origin}`), TERMS, AROUND)
      const { name } = smallCold('gzip', version)
      const stored = (await source.find(name, never))?.stored ?? new Uint8Array()
      const verified = verifyCatalog({ name, stored, source: source.name, announced: undefined, judge: ownWord })
      const refs = distinctBlobs(verified.catalog)
      await using target = new FetchingLibrary({ verified, refs, blobs: library })
      await target.fetch(source)
      expect([target.held.length, await target.wrong()]).toEqual([refs.length, []])
    }
  })
})
