import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { never } from '../../src/base/clock.ts'
import { HoloError } from '../../src/base/errors.ts'
import { RATE_BURST_MS } from '../../src/base/limits.ts'
import { RateLimit } from '../../src/base/rate-limit.ts'
import { packIndexBytes } from '../../src/catalog/pack-index.ts'
import { piecesOf } from '../../src/catalog/pieces.ts'
import { treeBlobName, treePackName } from '../../src/catalog/tree-names.ts'
import { openSubstituter } from '../../src/substituters/open-substituter.ts'
import type { Delivery } from '../../src/substituters/substituter.ts'
import { FaultProxy } from '../support/fault-proxy.ts'
import { FetchingLibrary } from '../support/fetching-library.ts'
import { TemporaryDirectory } from '../support/golden.ts'
import { nginxObstacle, startNginx } from '../support/nginx.ts'
import { skipUnless } from '../support/skip.ts'
import { staticServer } from '../support/static-server.ts'
import {
  AROUND,
  addressOf,
  conforms,
  conformsUnderFaults,
  environment,
  failure,
  pushedTree,
  SECRET,
  TERMS,
} from './conformance.ts'

const AUTHORIZATION = `Basic ${Buffer.from(SECRET).toString('base64')}`

/** A pushed environment behind a server that wants credentials, behind a proxy. */
async function openHttp() {
  const folder = new TemporaryDirectory()
  fs.cpSync((await pushedTree()).path, folder.path, { recursive: true })
  const server = staticServer(folder.path, AUTHORIZATION)
  const terms = { ...TERMS, credentialsEnv: 'SECRET' }
  const proxy = await FaultProxy.start(server.url)
  const substituter = openSubstituter(addressOf(proxy.url.href), terms, AROUND)
  return {
    tree: folder.path,
    substituter,
    proxy,
    [Symbol.asyncDispose]: async () => {
      await substituter[Symbol.asyncDispose]()
      await proxy[Symbol.asyncDispose]()
      server[Symbol.dispose]()
      folder[Symbol.dispose]()
    },
  }
}

const place = {
  name: 'a web server',
  test,
  open: openHttp,
  isBulk: ({ path }: { readonly path: string }) => path.startsWith('/pack/'),
}
conforms(place)
conformsUnderFaults(place)

const obstacle = nginxObstacle()
conforms({
  ...place,
  name: 'nginx',
  test: skipUnless(obstacle === undefined, obstacle ?? ''),
  open: async () => {
    const { path } = await pushedTree()
    // Its workers are another user's where this is root.
    fs.chmodSync(path, 0o755)
    const nginx = await startNginx(path)
    const substituter = openSubstituter(addressOf(nginx.url.href), TERMS, AROUND)
    return {
      substituter,
      proxy: undefined,
      [Symbol.asyncDispose]: async () => {
        await substituter[Symbol.asyncDispose]()
        await nginx[Symbol.asyncDispose]()
      },
    }
  },
})

/** Fetch into a library of its own. @returns how many blobs are here then */
async function fetchAllOf(opened: Awaited<ReturnType<typeof openHttp>>, refs = environment.refs): Promise<number> {
  await using library = new FetchingLibrary(environment)
  await library.fetch(opened.substituter, refs)
  expect(await library.wrong()).toEqual([])
  return library.held.length
}

describe('a static tree', () => {
  test('costs some requests for a whole environment, and single ones for few blobs', async () => {
    await using opened = await openHttp()
    await opened.substituter.find(environment.name, never)
    await fetchAllOf(opened)
    expect(opened.proxy.requests.length).toBeLessThanOrEqual(10)
    opened.proxy.requests.length = 0
    await fetchAllOf(opened, environment.refs.slice(0, 3))
    expect(opened.proxy.requests.map(({ path }) => path.split('/')[1])).toEqual(['blob', 'blob', 'blob'])
  })

  test('gives its blobs one by one where there is no pack, or one of another catalog, or one that lies', async () => {
    await using opened = await openHttp()
    const pack = join(opened.tree, treePackName(environment.name))
    const bytes = fs.readFileSync(pack)
    const lying = Uint8Array.from(bytes)
    // The length of the first piece.
    lying[48 + 32] = (lying[48 + 32] ?? 0) ^ 0xff
    lying[48 + 34] = 0xff
    const foreign = Uint8Array.from(bytes)
    foreign[16] = (foreign[16] ?? 0) ^ 1
    for (const content of [lying, foreign, bytes.subarray(0, 20), Buffer.alloc(0)]) {
      fs.writeFileSync(pack, content)
      expect(await fetchAllOf(opened)).toBe(environment.refs.length)
    }
    fs.rmSync(pack)
    expect(await fetchAllOf(opened)).toBe(environment.refs.length)
  })

  test('is blamed for pieces in its pack that are something else, or bombs', async () => {
    await using opened = await openHttp()
    const pack = join(opened.tree, treePackName(environment.name))
    const bytes = fs.readFileSync(pack)
    const head = packIndexBytes(bytes.readUInt32LE(12))
    const bomb = zstdCompressSync(Buffer.alloc(200 * 1024 * 1024))
    for (const planted of [Buffer.alloc(64, 7), bomb.subarray(0, 4000), zstdCompressSync(Buffer.alloc(100))]) {
      const altered = Uint8Array.from(bytes)
      altered.set(planted, head)
      fs.writeFileSync(pack, altered)
      const error = await failure(fetchAllOf(opened))
      expect([error.blame, error.code]).toEqual(['source', 'blob-corrupt'])
    }
  })

  test('may be served gzip or zstd encoded, and no further than the size of the blob', async () => {
    await using opened = await openHttp()
    const [ref] = environment.refs.filter(({ sizeBytes }) => sizeBytes > 1_000 && sizeBytes < 10_000)
    if (ref === undefined) throw new Error('no such blob')
    const content = environment.blobs.find(ref.digest)?.whole(ref.sizeBytes) ?? new Uint8Array()
    const answers = (body: Uint8Array, encoding: string) => () =>
      ({ kind: 'answer', status: 200, headers: { 'content-encoding': encoding }, body }) as const
    for (const [encoding, pack] of [['gzip', gzipSync] as const, ['zstd', zstdCompressSync] as const]) {
      opened.proxy.fault = answers(pack(content), encoding)
      expect(await fetchAllOf(opened, [ref])).toBe(1)
      opened.proxy.fault = answers(pack(Buffer.alloc(300 * 1024 * 1024)), encoding)
      expect((await failure(fetchAllOf(opened, [ref]))).blame).toBe('source')
    }
    opened.proxy.fault = answers(content, 'br')
    expect((await failure(fetchAllOf(opened, [ref]))).code).toBe('source-invalid')
    expect(treeBlobName(ref.digest)).toBe(`blob/${ref.digest.slice(0, 2)}/${ref.digest.slice(2, 4)}/${ref.digest}`)
  })

  test('of a later version is refused, and one that is no tree', async () => {
    for (const [text, said] of [
      ['Version: 2\n', 'version 2'],
      ['<html>', 'no version'],
    ] as const) {
      await using opened = await openHttp()
      opened.proxy.fault = ({ path }) =>
        path === '/holo-cache-info' ? { kind: 'answer', status: 200, body: Buffer.from(text) } : undefined
      const error = await failure(opened.substituter.find(environment.name, never))
      expect([error.code, error.message.includes(said)]).toEqual(['source-version', true])
    }
  })

  test('that nobody serves is told at once', async () => {
    const free = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => {} } })
    const { port } = free
    free.stop()
    const gone = openSubstituter(addressOf(`http://127.0.0.1:${port}/`), { ...TERMS, retries: 0 }, AROUND)
    const error = await failure(gone.find(environment.name, never))
    expect([error.blame, error.code]).toEqual(['source', 'source-unreachable'])
    expect(error).toBeInstanceOf(HoloError)
  })
})

/** The ranges of the large blobs of `environment`, in order. */
const RANGES = [...piecesOf(environment.verified.catalog).pieces.entries()].flatMap(([number, piece]) =>
  piece.kind === 'range' ? [{ number, piece }] : [],
)

/** What the range of a large blob holds in truth. */
function contentOf({ blob, offset, bytes }: (typeof RANGES)[number]['piece']): Uint8Array {
  const ref = piecesOf(environment.verified.catalog).blobs[blob]
  const whole = ref === undefined ? undefined : environment.blobs.find(ref.digest)?.whole(ref.sizeBytes)
  if (whole === undefined) throw new Error('the environment lacks a blob')
  return whole.subarray(offset, offset + bytes)
}

describe('a web server after others', () => {
  test('is not asked for the ranges that are here', async () => {
    await using opened = await openHttp()
    await using library = new FetchingLibrary(environment)
    const [first, ...others] = RANGES
    if (first === undefined) throw new Error('there is no large blob')
    expect(others.length).toBeGreaterThan(0)
    for (const { number, piece } of others) await library.addRange(number, contentOf(piece), 'a peer')
    const pieces: number[] = []
    const { deliver } = opened.substituter
    opened.substituter.deliver = async (...args) => watched(await deliver.apply(opened.substituter, args), pieces)
    await library.fetch(opened.substituter)
    expect(await library.wrong()).toEqual([])
    expect(library.held).toHaveLength(environment.refs.length)
    expect(pieces).toContain(first.number)
    expect(pieces.filter((piece) => others.some(({ number }) => number === piece))).toEqual([])
  })

  // Goal: what a peer that lied has left behind is not its fault.
  test('is not blamed for the wrong ranges that another one has sent', async () => {
    await using opened = await openHttp()
    await using library = new FetchingLibrary(environment)
    const [first] = RANGES
    if (first === undefined) throw new Error('there is no large blob')
    const wrong = Uint8Array.from(contentOf(first.piece)).fill(7)
    expect(await library.addRange(first.number, wrong, 'a peer that lies')).toBeTrue()
    await library.fetch(opened.substituter)
    expect(await library.wrong()).toEqual([])
    expect(library.held).toHaveLength(environment.refs.length)
  })
})

async function* watched(deliveries: AsyncGenerator<Delivery> | undefined, pieces: number[]): AsyncGenerator<Delivery> {
  for await (const delivery of deliveries ?? []) {
    if (delivery.kind === 'piece') pieces.push(delivery.piece)
    yield delivery
  }
}

// Method: a clock on which all sleep is counted and none is slept.
test('all web servers together keep within one limit', async () => {
  let sleptMs = 0
  const clock = {
    nowMs: () => sleptMs,
    wallMs: () => sleptMs,
    sleep: async (ms: number) => {
      sleptMs += ms
    },
  }
  const [bytesPerSecond, servers] = [100_000, 2]
  const wanLimit = new RateLimit(bytesPerSecond, clock)
  const { path } = await pushedTree()
  let bytes = 0
  for (let server = 0; server < servers; server++) {
    using served = staticServer(path)
    await using substituter = openSubstituter(addressOf(served.url.href), TERMS, { ...AROUND, wanLimit })
    for (const ref of environment.refs) {
      const stream = await substituter.get(ref, never)
      for await (const chunk of stream?.bytes ?? []) bytes += chunk.byteLength
    }
  }
  expect(bytes).toBeGreaterThan(bytesPerSecond)
  const burstMs = RATE_BURST_MS
  expect(Math.abs(sleptMs - ((bytes * 1000) / bytesPerSecond - burstMs))).toBeLessThan(2)
})
