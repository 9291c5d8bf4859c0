import { afterAll, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { never } from '../../src/base/clock.ts'
import type { StoredBlob } from '../../src/blob/local.ts'
import { zipBytes } from '../../src/door/zip-bytes.ts'
import { ZipLayout } from '../../src/door/zip-layout.ts'
import { ZipReader } from '../../src/store/zip-reader.ts'
import { runs } from '../support/runs.ts'
import { skipForgivenUnless } from '../support/skip.ts'

const folder = fs.mkdtempSync(join(tmpdir(), 'holo-zip-layout-'))
afterAll(() => fs.rmSync(folder, { recursive: true }))
let count = 0
const freshPath = () => join(folder, `${count++}.zip`)

function opened(bytes: Uint8Array): StoredBlob {
  return {
    encoding: 'identity',
    sizeBytes: bytes.byteLength,
    whole: () => bytes,
    bytes: async function* () {
      for (let at = 0; at < bytes.byteLength; at += 65_536) yield bytes.subarray(at, at + 65_536)
    },
    [Symbol.dispose]: () => {},
  }
}

async function made(
  members: readonly (readonly [name: string, bytes: Uint8Array])[],
  from = 0,
  end = Number.POSITIVE_INFINITY,
): Promise<Buffer> {
  const layout = new ZipLayout(members.map(([name, { byteLength }]) => ({ name, sizeBytes: byteLength })))
  const range = { from, end: Math.min(end, layout.sizeBytes) }
  const chunks: Uint8Array[] = []
  for await (const chunk of zipBytes(layout, range, (index) => opened(members[index]?.[1] ?? Buffer.of()), never)) {
    chunks.push(chunk)
  }
  const bytes = Buffer.concat(chunks)
  expect(bytes.byteLength).toBe(range.end - range.from)
  return bytes
}

const someMembers = fc
  .uniqueArray(fc.stringMatching(/^[a-z]{1,8}(?:\/[a-z0-9]{1,20}){0,2}$/), { maxLength: 12 })
  .chain((names) =>
    fc
      .array(
        fc.oneof(
          { weight: 5, arbitrary: fc.uint8Array({ maxLength: 300 }) },
          // Around the sizes at which chunks are cut and blobs are streamed.
          { weight: 1, arbitrary: fc.integer({ min: 100_000, max: 1_200_000 }).map((size) => Buffer.alloc(size, 'x')) },
        ),
        { minLength: names.length, maxLength: names.length },
      )
      .map((contents) => names.map((name, index) => [name, contents[index] ?? Buffer.of()] as const)),
  )

describe('zipBytes()', () => {
  test('makes zips that a reader of central directories reads', async () => {
    await fc.assert(
      fc.asyncProperty(someMembers, async (members) => {
        const path = freshPath()
        fs.writeFileSync(path, await made(members))
        await using zip = await ZipReader.open(path)
        expect([...zip.entries.keys()]).toEqual(members.map(([name]) => name))
        for (const [name, bytes] of members) {
          const entry = zip.entries.get(name)
          const read: Uint8Array[] = []
          if (entry !== undefined) for await (const chunk of zip.read(entry)) read.push(chunk)
          expect(Buffer.compare(Buffer.concat(read), bytes)).toBe(0)
        }
        fs.rmSync(path)
      }),
      { numRuns: runs(40) },
    )
  })

  test('makes of any range what the whole has there', async () => {
    const at = fc.double({ min: 0, max: 1, noNaN: true })
    await fc.assert(
      fc.asyncProperty(someMembers, at, at, async (members, left, right) => {
        const whole = await made(members)
        const [from, end] = [left, right].map((part) => Math.round(part * whole.byteLength)).sort((a, b) => a - b) as [
          number,
          number,
        ]
        expect(Buffer.compare(await made(members, from, end), whole.subarray(from, end))).toBe(0)
      }),
      { numRuns: runs(80) },
    )
  })

  test('tells the length and checksum of each member behind it, and the length before it', async () => {
    const bytes = Buffer.from('import this\n')
    const whole = await made([['a', bytes]])
    const layout = new ZipLayout([{ name: 'a', sizeBytes: bytes.byteLength }])
    expect(whole.readUInt32LE(18)).toBe(bytes.byteLength)
    const descriptor = whole.subarray(31 + bytes.byteLength, layout.directoryAt)
    expect(descriptor.readUInt32LE(4)).toBe(crc32(bytes))
    expect(descriptor.readUInt32LE(8)).toBe(bytes.byteLength)
  })

  test('breaks off where a member is not as it was planned', async () => {
    const layout = new ZipLayout([
      { name: 'a', sizeBytes: 5 },
      { name: 'b', sizeBytes: 5 },
    ])
    const range = { from: 0, end: layout.sizeBytes }
    for (const now of [undefined, opened(Buffer.from('longer than that'))]) {
      const bytes = zipBytes(layout, range, (index) => (index === 0 ? opened(Buffer.from('12345')) : now), never)
      expect(bytes.next()).rejects.toMatchObject({ code: 'blob-changed', blame: 'host' })
    }
  })
})

/** Write what `layout` says round members of nothing but holes, as a file that takes no room. */
function writeSparse(path: string, layout: ZipLayout): void {
  const file = fs.openSync(path, 'w')
  let at = 0
  const write = (bytes: Uint8Array) => {
    at += fs.writeSync(file, bytes, 0, bytes.byteLength, at)
  }
  for (const [index, { sizeBytes }] of layout.members.entries()) {
    expect(layout.offsetOf(index)).toBe(at)
    write(layout.localHeader(index))
    at += sizeBytes
    write(layout.descriptor(index, 0))
  }
  expect(layout.directoryAt).toBe(at)
  for (const index of layout.members.keys()) write(layout.directoryRecord(index, 0))
  write(layout.end())
  expect(layout.sizeBytes).toBe(at)
  fs.closeSync(file)
}

describe('ZipLayout', () => {
  const python = Bun.which('python3')
  const GIB = 2 ** 30
  const large = [
    { name: 'small', sizeBytes: 7 },
    { name: 'large', sizeBytes: 5 * GIB },
    { name: 'behind', sizeBytes: 3 },
    { name: 'edge', sizeBytes: 2 ** 32 - 1 },
    { name: 'last', sizeBytes: 0 },
  ]

  test('uses zip64 where 32 bits do not do, and only there', async () => {
    const path = freshPath()
    writeSparse(path, new ZipLayout(large))
    await using zip = await ZipReader.open(path)
    expect([...zip.entries.values()].map(({ name, sizeBytes }) => ({ name, sizeBytes }))).toEqual(large)
    const many = new ZipLayout(Array.from({ length: 70_000 }, (_, index) => ({ name: `${index}`, sizeBytes: 0 })))
    const manyPath = freshPath()
    writeSparse(manyPath, many)
    await using manyZip = await ZipReader.open(manyPath)
    expect(manyZip.entries.size).toBe(70_000)
    expect(new ZipLayout([{ name: 'a', sizeBytes: 1 }]).end().byteLength).toBe(22)
    fs.rmSync(path)
  })

  skipForgivenUnless(python !== null, 'python3 is not installed')("is read by Python's zipfile too", () => {
    const path = freshPath()
    writeSparse(path, new ZipLayout(large))
    const list =
      'import sys, zipfile; print([(i.filename, i.file_size) for i in zipfile.ZipFile(sys.argv[1]).infolist()])'
    const { stdout } = Bun.spawnSync([python ?? '', '-c', list, path])
    const expected = large.map(({ name, sizeBytes }) => `('${name}', ${sizeBytes})`).join(', ')
    expect(stdout.toString().trim()).toBe(`[${expected}]`)
    fs.rmSync(path)
  })

  test('memberAt() is the inverse of offsetOf()', () => {
    const sizes = fc.array(fc.nat(1000), { maxLength: 30 })
    fc.assert(
      fc.property(sizes, fc.double({ min: 0, max: 1, noNaN: true }), (found, part) => {
        const layout = new ZipLayout(found.map((sizeBytes, index) => ({ name: `${index}`, sizeBytes })))
        const offset = Math.floor(part * layout.directoryAt)
        const index = layout.memberAt(offset)
        if (index < found.length) {
          expect(layout.offsetOf(index)).toBeLessThanOrEqual(offset)
          expect(layout.offsetOf(index + 1)).toBeGreaterThan(offset)
        } else expect(offset).toBe(layout.directoryAt)
      }),
      { numRuns: runs(200) },
    )
  })
})
