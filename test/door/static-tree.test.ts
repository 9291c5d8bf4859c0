import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { unzipSync } from 'fflate'
import { type Sha256Digest, sha256Of } from '../../src/blob/digest.ts'
import { blobEntryName, blobPath, catalogEntryName, catalogPath, type Roots } from '../../src/catalog/layout.ts'
import { distinctBlobs } from '../../src/catalog/walk.ts'
import type { Door } from '../../src/door/serve-door.ts'
import { Library } from '../../src/store/library.ts'
import { doorOf, exchange, heard, request } from '../support/door-of.ts'
import { smallCold, TemporaryDirectory, unpackSmall } from '../support/golden.ts'
import { skipForgivenUnless } from '../support/skip.ts'

const folder = new TemporaryDirectory()
const v1 = smallCold('gzip', 1).name
const v2 = smallCold('gzip', 2).name
let roots: Roots
let library: Library
let door: Door
/** Blobs that no catalog names: what a door serves is asked for by digest. */
const added = new Map<'raw' | 'large' | 'large gzip' | 'small gzip', Sha256Digest>()
const digestOf = (kind: Parameters<typeof added.get>[0]) => added.get(kind) ?? ('' as Sha256Digest)

beforeAll(async () => {
  roots = unpackSmall('gzip', folder.path)
  library = new Library(roots)
  const random = crypto.getRandomValues(new Uint8Array(65_536))
  const large = Buffer.concat(Array.from({ length: 80 }, () => random))
  for (const [kind, content, packed] of [
    ['raw', Buffer.from('as it is\n'), false],
    ['small gzip', Buffer.from('packed\n'), true],
    ['large', large, false],
    ['large gzip', Buffer.concat([large, Buffer.from('!')]), true],
  ] as const) {
    const digest = sha256Of(content)
    fs.mkdirSync(blobPath(roots, digest).slice(0, -65), { recursive: true })
    fs.writeFileSync(blobPath(roots, digest), packed ? Bun.gzipSync(content) : content)
    added.set(kind, digest)
  }
  door = await doorOf(library)
})
afterAll(async () => {
  await door[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

const ask = async (line: string, headers: readonly string[] = [], body: string | Uint8Array = '') =>
  heard(await exchange(door.port, request(line, headers, body)))
const pathOf = (digest: string) => `/blob/${digest.slice(0, 2)}/${digest.slice(2, 4)}/${digest}`

describe('catalog/', () => {
  test('gives the catalog as it lies, and 304 to whoever has it', async () => {
    const stored = fs.readFileSync(catalogPath(roots, v1))
    const answer = await ask(`GET /catalog/${v1}`)
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'application/gzip' } })
    expect(answer.headers['content-encoding']).toBeUndefined()
    expect(answer.body.equals(stored)).toBe(true)
    const tag = answer.headers.etag
    expect(tag).toBe(`"${sha256Of(stored)}"`)
    for (const condition of [tag, `W/${tag}`, `"x", ${tag}`, '*']) {
      const again = await ask(`GET /catalog/${v1}`, [`If-None-Match: ${condition}`])
      expect(again).toMatchObject({ status: 304, headers: { etag: tag }, body: Buffer.of() })
    }
    expect(await ask(`GET /catalog/${v1}`, ['If-None-Match: "x"'])).toMatchObject({ status: 200 })
  })

  test('gives neither what is not complete, nor what is no catalog', async () => {
    using other = new TemporaryDirectory()
    const incomplete = unpackSmall('gzip', other.path)
    const [blob] = distinctBlobs(library.catalog(v1)?.catalog ?? ({} as never))
    if (blob !== undefined) fs.rmSync(blobPath(incomplete, blob.digest))
    await using fresh = await doorOf(new Library(incomplete))
    expect(heard(await exchange(fresh.port, request(`GET /catalog/${v1}`))).status).toBe(404)
    for (const name of ['', 'compress.no', `${v1}.info`, `${v1}/`, '..', '%2e%2e%2fcatalog%2fcompress.no', `x/${v1}`])
      expect([307, 404]).toContain((await ask(`GET /catalog/${name}`)).status)
  })

  test('of a compress.no library is empty', async () => {
    using other = new TemporaryDirectory()
    await using fresh = await doorOf(new Library(unpackSmall('nocompress', other.path)))
    const { name } = smallCold('nocompress', 1)
    for (const line of [`GET /catalog/${name}`, `GET /parts/${name}`])
      expect(heard(await exchange(fresh.port, request(line))).status).toBe(404)
  })
})

describe('blob/', () => {
  test('gives content decoded to whoever does not take gzip, and as it lies to whoever does', async () => {
    for (const [kind, digest] of added) {
      const stored = fs.readFileSync(blobPath(roots, digest))
      const plain = await ask(`GET ${pathOf(digest)}`, kind === 'large gzip' ? ['TE: x'] : [])
      expect(plain.status).toBe(200)
      expect(plain.headers['content-encoding']).toBeUndefined()
      // What is decoded while it is sent has no length beforehand.
      if (kind !== 'large gzip') expect(sha256Of(plain.body)).toBe(digest)
      else expect(plain.headers['transfer-encoding']).toBe('chunked')
      const packed = await ask(`GET ${pathOf(digest)}`, ['Accept-Encoding: br, gzip'])
      expect(packed.headers['content-encoding']).toBe(kind.endsWith('gzip') ? 'gzip' : undefined)
      expect(packed.body.equals(stored)).toBe(true)
    }
  })

  test('decodes a large blob while it is sent', async () => {
    const digest = digestOf('large gzip')
    const response = await fetch(`${door.url}${pathOf(digest)}`, { headers: { 'accept-encoding': 'identity' } })
    expect(sha256Of(new Uint8Array(await response.arrayBuffer()))).toBe(digest)
  })

  test('gives ranges, and the head alone', async () => {
    for (const kind of ['large', 'raw', 'small gzip'] as const) {
      const digest = digestOf(kind)
      const { body, headers } = await ask(`GET ${pathOf(digest)}`)
      const head = await ask(`HEAD ${pathOf(digest)}`)
      expect(head).toMatchObject({ status: 200, body: Buffer.of() })
      expect(head.headers).toMatchObject({ 'content-length': `${body.byteLength}`, etag: headers.etag })
      for (const [from, end] of [
        [0, 1],
        [3, body.byteLength],
        [body.byteLength - 2, body.byteLength],
      ] as const) {
        const part = await ask(`GET ${pathOf(digest)}`, [`Range: bytes=${from}-${end - 1}`])
        expect(part).toMatchObject({
          status: 206,
          headers: { 'content-range': `bytes ${from}-${end - 1}/${body.byteLength}` },
        })
        expect(part.body.equals(body.subarray(from, end))).toBe(true)
      }
    }
    const middle = await ask(`GET ${pathOf(digestOf('large'))}`, ['Range: bytes=3000000-3000009'])
    const content = fs.readFileSync(blobPath(roots, digestOf('large')))
    expect(middle.body.equals(content.subarray(3_000_000, 3_000_010))).toBe(true)
  })

  test('tells the two forms of a blob apart by their tags', async () => {
    const path = pathOf(digestOf('small gzip'))
    const [plain, packed] = [await ask(`GET ${path}`), await ask(`GET ${path}`, ['Accept-Encoding: gzip'])]
    expect(plain.headers).toMatchObject({ etag: `"${digestOf('small gzip')}"`, vary: 'accept-encoding' })
    expect(packed.headers.etag).not.toBe(plain.headers.etag)
    for (const refused of ['gzip;q=0', 'identity', '*;q=0, br'])
      expect((await ask(`GET ${path}`, [`Accept-Encoding: ${refused}`])).headers.etag).toBe(plain.headers.etag)
  })

  test('has only whole names of blobs', async () => {
    const digest = digestOf('raw')
    const places = [`/blob/${digest}`, `/blob/00/00/${digest}`, pathOf(digest.toUpperCase()), pathOf('0'.repeat(64))]
    for (const path of [...places, `${pathOf(digest)}/`, '/blob/', pathOf(digest.slice(0, 32))])
      expect((await ask(`GET ${path}`)).status).toBe(404)
    expect(await ask(`POST ${pathOf(digest)}`)).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } })
  })

  skipForgivenUnless(Bun.which('curl') !== null, 'curl is not installed')('is what curl writes', async () => {
    for (const digest of added.values())
      for (const options of [[], ['--compressed']]) {
        const { stdout } = Bun.spawn(['curl', '-sSf', ...options, `${door.url}${pathOf(digest)}`])
        expect(sha256Of(await new Response(stdout).bytes())).toBe(digest)
      }
  })
})

describe('want', () => {
  const namesIn = (zip: Uint8Array) => Object.keys(unzipSync(zip))
  const digestsOf = (name: typeof v1) => distinctBlobs(library.catalog(name)?.catalog ?? ({} as never))

  test('brings an environment in one round trip, less another one', async () => {
    const whole = await ask('POST /want', [], `environment ${v2}\n`)
    expect(whole).toMatchObject({ status: 200, headers: { 'content-type': 'application/zip' } })
    expect(namesIn(whole.body)).toEqual([
      ...digestsOf(v2)
        .map(({ digest }) => blobEntryName(digest))
        .sort(),
      catalogEntryName(v2),
    ])
    const less = await ask('POST /want', [], `less ${v1}\nenvironment ${v2}\n`)
    expect(namesIn(less.body)).toHaveLength(38 + 1)
    // One that is not here takes nothing away.
    const unknown = await ask('POST /want', [], `less ${'0'.repeat(16)}v12.linux_amd64\nenvironment ${v2}`)
    expect(namesIn(unknown.body)).toEqual(namesIn(whole.body))
  })

  test('brings single blobs, and leaves out those that are not here', async () => {
    const digest = digestOf('small gzip')
    const { body } = await ask('POST /want', [], `${digest}\n${'0'.repeat(64)}\n`)
    const entries = unzipSync(body)
    expect(Object.keys(entries)).toEqual([blobEntryName(digest)])
    expect(sha256Of(gunzipSync(entries[blobEntryName(digest)] ?? Buffer.of()))).toBe(digest)
    expect(namesIn((await ask('POST /want')).body)).toEqual([])
  })

  test('refuses what it does not understand, and names an environment that is not here', async () => {
    for (const line of ['short', 'environment x', `environment ${v1} ${v2}`, 'less', '\u0007\u001b[2J'])
      expect(await ask('POST /want', [], `${line}\n`)).toMatchObject({ status: 400 })
    const absent = `${'0'.repeat(16)}v12.linux_amd64`
    const answer = await ask('POST /want', [], `environment ${absent}`)
    expect({ status: answer.status, body: answer.body.toString() }).toEqual({
      status: 404,
      body: `404 the environment ${absent} is not here\n`,
    })
    const many = (count: number) => Array.from({ length: count }, () => `less ${absent}`).join('\n')
    expect((await ask('POST /want', [], many(16))).status).toBe(200)
    expect((await ask('POST /want', [], many(17))).status).toBe(413)
    expect((await ask('GET /want')).status).toBe(405)
  })
})
