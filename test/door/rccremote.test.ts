/** The protocol as a real rcc and the real rccremote spoke it: what was recorded, said again to our door. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { unzipSync } from 'fflate'
import { parseSha256 } from '../../src/blob/digest.ts'
import { blobPath, catalogEntryName, catalogPath } from '../../src/catalog/layout.ts'
import type { CatalogName } from '../../src/catalog/tree.ts'
import type { Door } from '../../src/door/serve-door.ts'
import { Library } from '../../src/store/library.ts'
import { DOOR_IDENTITY, doorOf, exchange, heard, recordedFile, recordedLibrary, request } from '../support/door-of.ts'
import { smallCold, TemporaryDirectory } from '../support/golden.ts'

const v1 = smallCold('gzip', 1).name
const v2 = smallCold('gzip', 2).name
const folder = new TemporaryDirectory()
let library: Library
let door: Door
beforeAll(async () => {
  library = recordedLibrary(folder.path)
  door = await doorOf(library)
})
afterAll(async () => {
  await door[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

const ask = async (line: string, headers: readonly string[] = [], body: string | Uint8Array = '') =>
  heard(await exchange(door.port, request(line, headers, body)))

/** Contents of a zip by name. */
function contents(zip: Uint8Array): Map<string, string> {
  return new Map(Object.entries(unzipSync(zip)).map(([name, bytes]) => [name, Bun.hash(bytes).toString()]))
}

/** Recorded requests, one after another, each with its body. */
function requestsIn(raw: Buffer): Buffer[] {
  const requests: Buffer[] = []
  for (let at = 0; at < raw.byteLength; ) {
    const head = raw.indexOf('\r\n\r\n', at) + 4
    const length = /^content-length: (\d+)/im.exec(raw.subarray(at, head).toString('latin1'))?.[1] ?? '0'
    requests.push(raw.subarray(at, head + Number(length)))
    at = head + Number(length)
  }
  return requests
}

/** Send each request once the answer to the one before is there whole. @returns the answers */
async function conversation(port: number, requests: readonly Buffer[]): Promise<Buffer[]> {
  const { promise, resolve } = Promise.withResolvers<Buffer[]>()
  const answers: Buffer[] = []
  let received = Buffer.alloc(0)
  const socket = connect(port, '127.0.0.1', () => socket.write(requests[0] ?? ''))
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, Buffer.from(chunk)])
    const { headers, body } = heard(received)
    if (received.indexOf('\r\n\r\n') < 0 || body.byteLength < Number(headers['content-length'])) return
    answers.push(received)
    received = Buffer.alloc(0)
    const next = requests[answers.length]
    if (next === undefined) socket.destroy()
    else socket.write(next)
  })
  socket.on('close', () => resolve(answers))
  return promise
}

describe('parts', () => {
  test('are the lists that rccremote sent', async () => {
    for (const [name, file] of [
      [v1, 'parts-v1.txt'],
      [v2, 'parts-v2.txt'],
    ] as const) {
      const answer = await ask(`GET /parts/${name}`)
      expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'text/plain' } })
      expect(answer.body.toString()).toBe(recordedFile(file).toString())
    }
  })

  test('of other paths, methods and names are answered as in the transcript', async () => {
    expect(await ask('GET /')).toMatchObject({ status: 404, body: Buffer.from('404 page not found\n') })
    expect(await ask(`POST /parts/${v1}`)).toMatchObject({ status: 405, body: Buffer.of() })
    expect(await ask(`HEAD /parts/${v1}`)).toMatchObject({ status: 405, body: Buffer.of() })
    expect(await ask('GET /parts/nonexistv12.linux_amd64')).toMatchObject({
      status: 404,
      headers: { 'content-type': 'text/plain; charset=utf-8', 'content-length': '20' },
      body: Buffer.from('404 not found, sorry'),
    })
    expect((await ask(`GET /parts/a/b/${v1}`)).body.toString()).toBe(recordedFile('parts-v1.txt').toString())
    expect(await ask(`GET /delta/${v1}`)).toMatchObject({ status: 405, body: Buffer.of() })
    expect(await ask('POST /delta/nope', [], 'x')).toMatchObject({
      status: 404,
      body: Buffer.from('404 not found, sorry'),
    })
    expect(await ask('GET /force/nope')).toMatchObject({ status: 200, body: Buffer.of() })
    expect(await ask(`POST //delta/${v1}`)).toMatchObject({
      status: 307,
      headers: { location: `/delta/${v1}` },
      body: Buffer.of(),
    })
  })

  test('that we ask ourselves for are refused', async () => {
    const own = [`X-Rcc-Random-Identity: ${DOOR_IDENTITY}`]
    expect(await ask(`GET /parts/${v1}`, own)).toMatchObject({ status: 409, body: Buffer.of() })
    expect(await ask(`POST /delta/${v1}`, own)).toMatchObject({ status: 409, body: Buffer.of() })
    expect(await ask(`GET /parts/${v1}`, ['X-Rcc-Random-Identity: fedcba9876543210'])).toMatchObject({ status: 200 })
  })
})

describe('delta', () => {
  test('has what the zips of rccremote have, stored', async () => {
    for (const [name, list, zip] of [
      [v2, 'delta-request-v1-to-v2.txt', 'delta-v1-to-v2.zip'],
      [v1, 'delta-request-mixed.txt', 'delta-mixed.zip'],
    ] as const) {
      const answer = await ask(`POST /delta/${name}`, [], recordedFile(list))
      expect(answer).toMatchObject({
        status: 200,
        headers: { 'content-type': 'application/zip', 'accept-ranges': 'bytes' },
      })
      expect(answer.headers['content-length']).toBe(`${answer.body.byteLength}`)
      const wanted = contents(recordedFile(zip))
      const actual = contents(answer.body)
      // Blobs in the order of the list, the catalog last.
      expect([...actual.keys()]).toEqual([...wanted.keys()])
      expect(actual).toEqual(wanted)
    }
  })

  test('answers the requests of a real client, byte for byte as it sent them, over one connection', async () => {
    const requests = requestsIn(recordedFile('client-requests.raw'))
    expect(requests.length).toBe(5)
    const known = requests.slice(0, 4)
    const answers = (await conversation(door.port, known)).map(heard)
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    const [parts1, delta1, parts2, delta2] = answers.map(({ body }) => body)
    expect(parts1?.toString()).toBe(recordedFile('parts-v1.txt').toString())
    const first = contents(delta1 ?? Buffer.of())
    expect(first.size).toBe(402 + 1)
    expect([...first.keys()].at(-1)).toBe(catalogEntryName(v1))
    expect(parts2?.toString()).toBe(recordedFile('parts-v2.txt').toString())
    expect(contents(delta2 ?? Buffer.of())).toEqual(contents(recordedFile('delta-v1-to-v2.zip')))
  })

  // rccremote names its zip by the want list alone: the second client got the first one's catalog.
  test('of two catalogs for the same list are two', async () => {
    const [first, second] = await Promise.all([ask(`POST /delta/${v1}`), ask(`POST /delta/${v2}`)])
    expect([...contents(first.body).keys()]).toEqual([catalogEntryName(v1)])
    expect([...contents(second.body).keys()]).toEqual([catalogEntryName(v2)])
  })

  test('lists a blob once, whatever the list does', async () => {
    const [digest = ''] = recordedFile('parts-v1.txt').toString().split('\n')
    const { body } = await ask(
      `POST /delta/${v1}`,
      [],
      `${digest}\n  x/${digest} \r\n${digest}\n${digest.toUpperCase()}`,
    )
    expect(contents(body).size).toBe(2)
  })

  test('gives any part of itself', async () => {
    const list = recordedFile('delta-request-v1-to-v2.txt')
    const whole = await ask(`POST /delta/${v2}`, [], list)
    const tag = whole.headers.etag
    const from = 100_000
    const part = await ask(`POST /delta/${v2}`, [`Range: bytes=${from}-`, `If-Range: ${tag}`], list)
    expect(part).toMatchObject({
      status: 206,
      headers: { 'content-range': `bytes ${from}-${whole.body.byteLength - 1}/${whole.body.byteLength}` },
    })
    expect(Buffer.compare(part.body, whole.body.subarray(from))).toBe(0)
    const other = await ask(`POST /delta/${v2}`, [`Range: bytes=${from}-`, 'If-Range: "other"'], list)
    expect(other).toMatchObject({ status: 200, headers: { etag: tag } })
    const beyond = await ask(`POST /delta/${v2}`, ['Range: bytes=99999999-'], list)
    expect(beyond).toMatchObject({ status: 416, headers: { 'content-range': `bytes */${whole.body.byteLength}` } })
  })

  test('of an environment that lost a blob fails as a whole', async () => {
    using other = new TemporaryDirectory()
    const roots = recordedLibrary(other.path).roots
    await using fresh = await doorOf(new Library(roots))
    const list = recordedFile('parts-v1.txt').toString()
    const digest = parseSha256(list.slice(0, 64))
    if (digest === undefined) throw new Error('the recorded list is not one')
    fs.rmSync(blobPath(roots, digest))
    const { status, body } = heard(await exchange(fresh.port, request(`POST /delta/${v1}`, [], list)))
    expect({ status, body: body.toString() }).toEqual({ status: 500, body: '' })
  })

  test('of many catalogs do not end the server, as they end rccremote', async () => {
    using other = new TemporaryDirectory()
    const roots = recordedLibrary(other.path).roots
    const catalog = fs.readFileSync(catalogPath(roots, v1))
    const names = Array.from({ length: 30 }, (_, index) => `${String(index).padStart(16, '0')}v12.linux_amd64`)
    for (const name of names) fs.writeFileSync(join(catalogPath(roots, v1), '..', name), catalog)
    await using fresh = await doorOf(new Library(roots))
    // They are not what their names say, so they count as not there.
    for (const name of names) {
      expect(heard(await exchange(fresh.port, request(`GET /parts/${name}`))).status).toBe(404)
    }
    expect(heard(await exchange(fresh.port, request(`GET /parts/${v1}`))).status).toBe(200)
  })
})

describe('an environment that is not here', () => {
  const name = '0123456789abcdefv12.linux_amd64' as CatalogName

  test('is fetched first, once for all who ask, also by /force/', async () => {
    using home = new TemporaryDirectory()
    using seed = new TemporaryDirectory()
    const roots = recordedLibrary(seed.path).roots
    fs.mkdirSync(join(home.path, 'hololib', 'catalog'), { recursive: true })
    const asked: string[] = []
    const gate = Promise.withResolvers<void>()
    await using fresh = await doorOf(new Library({ ...roots, hololib: join(home.path, 'hololib') }), {
      bring: async (wanted) => {
        asked.push(wanted)
        await gate.promise
        fs.cpSync(roots.hololib, join(home.path, 'hololib'), { recursive: true })
      },
    })
    const get = () => exchange(fresh.port, request(`GET /parts/${v1}`)).then(heard)
    const forced = await exchange(fresh.port, request(`GET /force/${v1}`)).then(heard)
    expect(forced).toMatchObject({ status: 200, body: Buffer.of() })
    const both = Promise.all([get(), get()])
    gate.resolve()
    for (const { status, body } of await both) {
      expect(status).toBe(200)
      expect(body.toString()).toBe(recordedFile('parts-v1.txt').toString())
    }
    expect(asked).toEqual([v1])
  })

  test('and that nobody has is 404, so that rcc goes on', async () => {
    const asked: string[] = []
    await using empty = await doorOf(library, { bring: async (wanted) => void asked.push(wanted) })
    expect(heard(await exchange(empty.port, request(`GET /parts/${name}`))).status).toBe(404)
    // The tree for substituters asks nobody else.
    expect(heard(await exchange(empty.port, request(`GET /catalog/${name}`))).status).toBe(404)
    expect(asked).toEqual([name])
  })
})
