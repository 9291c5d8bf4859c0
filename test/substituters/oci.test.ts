import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { never } from '../../src/base/clock.ts'
import { decodeManifest, encodeManifest, ociBlobOf } from '../../src/substituters/oci-manifest.ts'
import { openPushTarget, openSubstituter } from '../../src/substituters/open-substituter.ts'
import { FaultProxy } from '../support/fault-proxy.ts'
import { TemporaryDirectory } from '../support/golden.ts'
import { type Registry, registryObstacle, startRegistry } from '../support/registry.ts'
import { runs } from '../support/runs.ts'
import { skipUnless } from '../support/skip.ts'
import { AROUND, addressOf, conforms, conformsUnderFaults, environment, failure, SECRET, TERMS } from './conformance.ts'

const obstacle = registryObstacle()
const registryTest = skipUnless(obstacle === undefined, obstacle ?? '')
const terms = { ...TERMS, timeoutMs: 3_000, credentialsEnv: 'SECRET' }
let registry: Registry

function addressAt(url: URL) {
  return addressOf(`oci+http://${url.host}/robots/environments`)
}

beforeAll(async () => {
  if (obstacle !== undefined) return
  registry = await startRegistry(SECRET)
  using spool = new TemporaryDirectory()
  await using target = openPushTarget(addressAt(registry.url), terms, AROUND)
  await target.push(environment, { dryRun: false, spool: spool.path, onProgress: () => {} }, never)
}, 60_000)
afterAll(async () => {
  await registry?.[Symbol.asyncDispose]()
})

async function openOci(credentials: object = terms) {
  const proxy = await FaultProxy.start(registry.url)
  const substituter = openSubstituter(addressAt(proxy.url), { ...TERMS, ...credentials }, AROUND)
  return {
    proxy,
    substituter,
    [Symbol.asyncDispose]: async () => {
      await substituter[Symbol.asyncDispose]()
      await proxy[Symbol.asyncDispose]()
    },
  }
}

const place = {
  name: 'an OCI repository',
  test: registryTest,
  open: openOci,
  isBulk: ({ headers }: { readonly headers: Readonly<Record<string, string | undefined>> }) =>
    headers.range !== undefined,
}
conforms(place)
conformsUnderFaults(place)

describe('an OCI repository', () => {
  registryTest('is sent nothing twice', async () => {
    using spool = new TemporaryDirectory()
    await using target = openPushTarget(addressAt(registry.url), terms, AROUND)
    const again = await target.push(environment, { dryRun: false, spool: spool.path, onProgress: () => {} }, never)
    expect([again.packBytesSent, again.catalogSent]).toEqual([0, false])
  })

  registryTest('refuses whoever has no password', async () => {
    await using opened = await openOci({ credentialsEnv: undefined })
    const error = await failure(opened.substituter.find(environment.name, never))
    expect([error.blame, error.code]).toEqual(['source', 'source-refused'])
  })

  registryTest(
    'is asked with the token that its token server gives, and with a new one when that has expired',
    async () => {
      await using opened = await openOci()
      const basic = `Basic ${Buffer.from(SECRET).toString('base64')}`
      let given = 0
      using tokens = Bun.serve({
        port: 0,
        hostname: '127.0.0.1',
        fetch: (request) => {
          const { searchParams } = new URL(request.url)
          if (request.headers.get('authorization') !== basic) return new Response('', { status: 401 })
          if (searchParams.get('scope') !== 'repository:robots/environments:pull')
            return new Response('', { status: 400 })
          return Response.json({ token: `token-${++given}` })
        },
      })
      // A realm without https has to be at home: the proxy passes it on.
      const realm = new URL('token', opened.proxy.url.href).href
      opened.proxy.fault = ({ path, headers }) => {
        if (path.startsWith('/token')) return undefined
        const isFresh = headers.authorization === `Bearer token-${given}` && given > 0
        if (!isFresh) {
          const challenge = `Bearer realm="${realm}",service="registry.test"`
          return { kind: 'answer', status: 401, headers: { 'www-authenticate': challenge } }
        }
        return undefined
      }
      opened.proxy.route = ({ path }) => (path.startsWith('/token') ? tokens.url : undefined)
      opened.proxy.rewrite = () => ({ authorization: basic })
      expect(await opened.substituter.find(environment.name, never)).toBeDefined()
      given++
      expect(await opened.substituter.find(environment.name, never)).toBeDefined()
      expect(given).toBeGreaterThan(1)
    },
  )

  registryTest('gives credentials to no token server without https that is elsewhere', async () => {
    await using opened = await openOci()
    const asked: string[] = []
    using thief = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: (request) => new Response(asked[asked.push(request.url)]),
    })
    const challenge = `Bearer realm="${thief.url.href}token",service="x"`
    opened.proxy.fault = () => ({ kind: 'answer', status: 401, headers: { 'www-authenticate': challenge } })
    expect((await failure(opened.substituter.find(environment.name, never))).code).toBe('source-refused')
    expect(asked).toEqual([])
  })
})

describe('decodeManifest()', () => {
  const blob = fc.uint8Array({ maxLength: 20 }).map(ociBlobOf)

  test('reads what encodeManifest() writes', () => {
    fc.assert(
      fc.property(blob, blob, fc.option(blob, { nil: undefined }), (catalog, pack, signatures) => {
        const written = { catalog, pack, signatures }
        expect(decodeManifest(encodeManifest(written))).toEqual(written)
      }),
      { numRuns: runs(50) },
    )
  })

  test('takes anything else for no manifest', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          expect(decodeManifest(bytes)).toBeUndefined()
        },
      ),
      { numRuns: runs(300) },
    )
    const layers = [{ mediaType: 'application/vnd.holo-peer.catalog.v1+gzip', digest: 'sha256:../../x', size: 1 }]
    expect(decodeManifest(Buffer.from(JSON.stringify({ layers })))).toBeUndefined()
  })
})
