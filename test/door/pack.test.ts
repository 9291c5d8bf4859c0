// Goal: a pack that no file holds is right for whoever reads it in parts, whatever becomes of library and frames meanwhile.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import fc from 'fast-check'
import { never } from '../../src/base/clock.ts'
import { DOOR_PACK_FRESH_MS, DOOR_PACKS_KEPT } from '../../src/base/door-limits.ts'
import { sha256Of } from '../../src/blob/digest.ts'
import type { PieceForm } from '../../src/blob/pieces.ts'
import { unzstdExactly } from '../../src/blob/zstd.ts'
import { blobPath, statePaths } from '../../src/catalog/layout.ts'
import { decodePackIndex, packIndexBytes } from '../../src/catalog/pack-index.ts'
import { type Pieces, piecesOf } from '../../src/catalog/pieces.ts'
import { SignatureFolder } from '../../src/config/signature-folder.ts'
import { Packs } from '../../src/door/pack.ts'
import { packBytes } from '../../src/door/pack-bytes.ts'
import { PackLayout } from '../../src/door/pack-layout.ts'
import { Library } from '../../src/store/library.ts'
import { doorOf, exchange, type Heard, heard, libraryOf, type OpenedDoor, request } from '../support/door-of.ts'
import { failureOf } from '../support/failure-of.ts'
import { smallCold, TemporaryDirectory, unpackSmall } from '../support/golden.ts'
import { madeEnvironment, variousFiles } from '../support/made-environment.ts'
import { runs } from '../support/runs.ts'
import { signedBy } from '../support/signatures.ts'

const environment = madeEnvironment(variousFiles())
const other = madeEnvironment({ ...variousFiles(), more: 'of it' }, 'fedcba9876543210')
const { pieces } = piecesOf(environment.catalog)

/** A door before both environments, at a clock that stands still. */
async function opened(bytesMax?: number) {
  const folder = new TemporaryDirectory()
  await libraryOf(folder.path, environment)
  const library = await libraryOf(folder.path, other)
  let nowMs = 0
  const options = bytesMax === undefined ? {} : { pieces: { bytesMax } }
  const door = await doorOf(library, { clock: { nowMs: () => nowMs }, ...options })
  return {
    door,
    library,
    /** So long that whoever comes is given what is best then. */
    pass: () => {
      nowMs += DOOR_PACK_FRESH_MS
    },
    [Symbol.asyncDispose]: async () => {
      await door[Symbol.asyncDispose]()
      folder[Symbol.dispose]()
    },
  }
}

async function ask({ port }: OpenedDoor, headers: readonly string[] = [], line = `GET /pack/${environment.name}`) {
  return heard(await exchange(port, request(line, headers)))
}

/** Whole: told length and body agree. */
function isWhole({ headers, body }: Heard): boolean {
  return Number(headers['content-length']) === body.byteLength
}

/** Encodings of the pieces of a pack, each of which was compared with the catalog. */
function proved(pack: Buffer, of = environment): string[] {
  const { blobs, pieces }: Pieces = piecesOf(of.catalog)
  const contentBytes = pieces.map(({ bytes }) => bytes)
  const index = decodePackIndex(pack.subarray(0, packIndexBytes(pieces.length)), of.sha256, contentBytes)
  expect(index.packBytes).toBe(pack.byteLength)
  return index.pieces.map(({ offset, bytes, encoding }, number) => {
    const wire = pack.subarray(offset, offset + bytes)
    const content = encoding === 'zstd' ? unzstdExactly(wire, contentBytes[number] ?? 0) : wire
    expect(sha256Of(content)).toBe(
      Buffer.from(index.table.subarray(32 * number, 32 * number + 32)).toString('hex') as never,
    )
    const piece = pieces[number]
    let at = 0
    for (const blob of piece?.kind === 'group' ? piece.blobs : []) {
      const { digest, sizeBytes } = blobs[blob] ?? { digest: '', sizeBytes: 0 }
      expect(sha256Of(content.subarray(at, at + sizeBytes))).toBe(digest as never)
      at += sizeBytes
    }
    return encoding
  })
}

describe('pack/', () => {
  test('is there before anything was prepared, and smaller afterwards, with another tag', async () => {
    await using it = await opened()
    const raw = await ask(it.door)
    expect(raw).toMatchObject({ status: 200, headers: { 'accept-ranges': 'bytes', 'cache-control': 'no-cache' } })
    expect(new Set(proved(raw.body))).toEqual(new Set(['identity']))
    // The table that was computed for it is kept.
    expect(await it.door.pieces.table(environment.sha256, never)).toHaveLength(32 * pieces.length)
    await it.door.pieces.prepare(environment.sha256, { frames: true }, never)
    expect((await ask(it.door)).headers.etag).toBe(raw.headers.etag)
    it.pass()
    const packed = await ask(it.door)
    expect(new Set(proved(packed.body))).toEqual(new Set(['zstd']))
    expect(packed.headers.etag).not.toBe(raw.headers.etag)
    expect(packed.body.byteLength).toBeLessThan(raw.body.byteLength)
    const none = await ask(it.door, [`If-None-Match: ${packed.headers.etag}`])
    expect(none).toMatchObject({ status: 304, body: Buffer.of() })
  })

  test('has the same bytes in any range', async () => {
    await using it = await opened()
    // Some pieces of one form, some of the other.
    for (const piece of [0, 3]) await it.door.pieces.piece(environment.sha256, piece, 'small', never)
    const { body } = await ask(it.door)
    expect(new Set(proved(body))).toEqual(new Set(['identity', 'zstd']))
    const head = await ask(it.door, [], `HEAD /pack/${environment.name}`)
    expect(head).toMatchObject({ status: 200, headers: { 'content-length': `${body.byteLength}` }, body: Buffer.of() })
    expect((await ask(it.door, [`Range: bytes=${body.byteLength}-`])).status).toBe(416)
    const indexBytes = packIndexBytes(pieces.length)
    const place = fc.oneof(fc.nat({ max: indexBytes }), fc.nat({ max: body.byteLength - 1 }))
    await fc.assert(
      fc.asyncProperty(place, fc.nat({ max: 2_000_000 }), async (from, more) => {
        const part = await ask(it.door, [`Range: bytes=${from}-${from + more}`])
        expect(part.status).toBe(206)
        expect(part.body.equals(body.subarray(from, from + more + 1))).toBe(true)
      }),
      { numRuns: runs(40) },
    )
  })

  test('stays as it was for whoever has begun, while others get the better one', async () => {
    await using it = await opened()
    const raw = await ask(it.door)
    await it.door.pieces.prepare(environment.sha256, { frames: true }, never)
    it.pass()
    const packed = await ask(it.door)
    const range = 'Range: bytes=300000-1300000'
    const before = await ask(it.door, [range, `If-Range: ${raw.headers.etag}`])
    expect([before.status, before.body.equals(raw.body.subarray(300_000, 1_300_001))]).toEqual([206, true])
    const after = await ask(it.door, [range])
    expect([after.status, after.body.equals(packed.body.subarray(300_000, 1_300_001))]).toEqual([206, true])
    // One that nobody was ever given, or that of another environment.
    const foreign = await ask(it.door, [], `GET /pack/${other.name}`)
    for (const tag of ['"x"', foreign.headers.etag]) {
      const whole = await ask(it.door, [range, `If-Range: ${tag}`])
      expect([whole.status, whole.body.equals(packed.body)]).toEqual([200, true])
    }
  })

  test('is another one where its frames have gone, and breaks off for whoever is in the middle', async () => {
    // Room for the frames of one environment.
    const probe = await opened()
    await probe.door.pieces.prepare(environment.sha256, { frames: true }, never)
    const folder = statePaths(probe.library.roots).pieces
    const oneBytes = fs.readdirSync(folder).reduce((sum, name) => sum + fs.statSync(`${folder}/${name}`).size, 0)
    await probe[Symbol.asyncDispose]()
    await using it = await opened(Math.ceil(oneBytes * 1.2))
    const { pieces: served } = it.door
    await served.prepare(environment.sha256, { frames: true }, never)
    const packed = await ask(it.door)
    expect(new Set(proved(packed.body))).toEqual(new Set(['zstd']))
    const layout = new PackLayout(environment.sha256, served.forms(environment.sha256) ?? [])
    expect(packed.headers.etag).toBe(`"${layout.tag}"`)
    const reading = packBytes(layout, { from: 0, end: layout.sizeBytes }, served, never)
    let readBytes = 0
    while (readBytes < layout.offsetOf(1)) readBytes += (await reading.next()).value?.byteLength ?? Number.NaN
    await served.prepare(other.sha256, { frames: true }, never)
    expect(await failureOf(reading.next())).toMatchObject({ code: 'blob-changed' })
    // The lengths of frames that have gone are no use to anybody.
    const whole = await ask(it.door, ['Range: bytes=300000-', `If-Range: ${packed.headers.etag}`])
    expect([whole.status, isWhole(whole)]).toEqual([200, true])
    expect(whole.headers.etag).not.toBe(packed.headers.etag)
    expect(new Set(proved(whole.body))).toEqual(new Set(['identity']))
  })

  test('breaks off at a blob that has rotted or gone, and gives the rest', async () => {
    await using it = await opened()
    const { body } = await ask(it.door)
    const lost = pieces.findIndex((piece) => piece.kind === 'range')
    const blob = piecesOf(environment.catalog).blobs.find(({ sizeBytes }) => sizeBytes === 2_500_000)
    const path = blobPath(it.library.roots, (blob?.digest ?? '') as never)
    const content = fs.readFileSync(path)
    content[1_500_000] = (content[1_500_000] ?? 0) ^ 1
    for (const spoil of [() => fs.writeFileSync(path, content), () => fs.rmSync(path)]) {
      spoil()
      const part = await ask(it.door, ['Range: bytes=0-'])
      expect(isWhole(part)).toBe(false)
      const indexBytes = packIndexBytes(pieces.length)
      const before = pieces.slice(0, lost).reduce((sum, { bytes }) => sum + bytes, indexBytes)
      expect(part.body.equals(body.subarray(0, before))).toBe(true)
    }
  })

  test('computes its table once for all who come together', async () => {
    await using it = await opened()
    const answers = await Promise.all(Array.from({ length: 6 }, () => ask(it.door, ['Range: bytes=0-2000'])))
    const [first] = answers
    expect(answers.every(({ body }) => body.byteLength > 0 && body.equals(first?.body ?? Buffer.of()))).toBe(true)
  })

  test('is not there of what is not here, not whole, or not SHA-256', async () => {
    await using it = await opened()
    for (const name of [
      '',
      'x',
      '..',
      `${environment.name}.sig`,
      `${environment.name}/`,
      `${'0'.repeat(16)}v12.linux_amd64`,
    ])
      expect([307, 404]).toContain((await ask(it.door, [], `GET /pack/${name}`)).status)
    expect((await ask(it.door, [], `PUT /pack/${environment.name}`)).status).toBe(405)
    const [ref] = environment.refs
    fs.rmSync(blobPath(it.library.roots, ref?.digest ?? ('' as never)))
    await using incomplete = await doorOf(it.library)
    expect((await ask(incomplete)).status).toBe(404)
    using folder = new TemporaryDirectory()
    await using siphash = await doorOf(new Library(unpackSmall('nocompress', folder.path)))
    expect((await ask(siphash, [], `GET /pack/${smallCold('nocompress', 1).name}`)).status).toBe(404)
  })
})

test('Packs forgets the layout that was made first', () => {
  let round = 0
  const pieces = {
    // One frame more each time.
    forms: (): PieceForm[] =>
      Array.from({ length: 2 * DOOR_PACKS_KEPT }, (_, piece) =>
        piece < round ? { encoding: 'zstd', bytes: 9, crc: piece } : { encoding: 'identity', bytes: 10 },
      ),
    areKept: () => true,
    inForm: async () => undefined,
    hashes: async function* () {},
  }
  const packs = new Packs(pieces, { nowMs: () => round * DOOR_PACK_FRESH_MS })
  const wanted = { ...environment, digests: new Set<never>() }
  const answerTo = (same?: string) => {
    const header = (name: string) => ({ 'if-range': same, range: 'bytes=0-3' })[name]
    return packs.answer({ method: 'GET', path: '', header, body: async function* () {} }, wanted, never)
  }
  const tags: string[] = []
  for (; round <= DOOR_PACKS_KEPT; round++) tags.push(answerTo()?.headers?.etag ?? '')
  expect(new Set(tags).size).toBe(DOOR_PACKS_KEPT + 1)
  const statuses = tags.reverse().map((tag) => answerTo(tag)?.status)
  expect(statuses).toEqual([...Array(DOOR_PACKS_KEPT).fill(206), 200])
})

describe('catalog/NAME.sig', () => {
  let it: Awaited<ReturnType<typeof opened>>
  beforeAll(async () => {
    it = await opened()
  })
  afterAll(() => it[Symbol.asyncDispose]())

  test('gives the signatures of this very catalog, one a line', async () => {
    const line = `GET /catalog/${environment.name}.sig`
    expect((await ask(it.door, [], line)).status).toBe(404)
    const folder = new SignatureFolder(statePaths(it.library.roots))
    const of = { catalog: environment.name, sha256: environment.sha256 }
    folder.keep([signedBy('alice', of), signedBy('bob', of), signedBy('carol', { catalog: environment.name })])
    const answer = await ask(it.door, [], line)
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'application/x-ndjson' } })
    const signers = answer.body
      .toString()
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text).key.split(':')[0])
    expect(signers.sort()).toEqual(['alice', 'bob'])
    expect((await ask(it.door, [`If-None-Match: ${answer.headers.etag}`], line)).status).toBe(304)
  })

  test('is not there of an environment that is not here', async () => {
    for (const path of [`catalog/${'0'.repeat(16)}v12.linux_amd64.sig`, 'catalog/.sig', `catalog/${other.name}.sig`])
      expect((await ask(it.door, [], `GET /${path}`)).status).toBe(404)
  })
})
