import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import fc from 'fast-check'
import { unzipSync, zipSync } from 'fflate'
import { HoloError } from '../../src/base/errors.ts'
import { ZipReader } from '../../src/store/zip-reader.ts'

const folder = mkdtempSync(join(tmpdir(), 'holo-zip-'))
afterAll(() => rmSync(folder, { recursive: true }))
const golden = resolve(import.meta.dir, '../golden/small/gzip/v1-hololib.zip')
const FUZZ_RUNS = Number(process.env.FUZZ_RUNS ?? 1)

let count = 0
function fileOf(bytes: Uint8Array): string {
  const path = join(folder, `${count++}.zip`)
  writeFileSync(path, bytes)
  return path
}

async function readAll(path: string): Promise<Map<string, Buffer>> {
  await using zip = await ZipReader.open(path)
  const all = new Map<string, Buffer>()
  for (const [name, entry] of zip.entries) {
    const chunks: Uint8Array[] = []
    for await (const chunk of zip.read(entry)) chunks.push(chunk)
    all.set(name, Buffer.concat(chunks))
  }
  return all
}

describe('ZipReader', () => {
  test("reads a real export of rcc as fflate's whole-file reader does", async () => {
    const expected = unzipSync(readFileSync(golden))
    const actual = await readAll(golden)
    expect([...actual.keys()].sort()).toEqual(Object.keys(expected).sort())
    for (const [name, bytes] of actual) expect(Bun.hash(bytes)).toBe(Bun.hash(expected[name] ?? ''))
  })

  test('reads any entries, stored or deflated', async () => {
    const files = fc.dictionary(
      fc.stringMatching(/^[a-z]{1,8}$/),
      fc.tuple(fc.uint8Array({ maxLength: 200_000 }), fc.constantFrom(0, 6)),
    )
    await fc.assert(
      fc.asyncProperty(files, async (wanted) => {
        const zip = zipSync(
          Object.fromEntries(
            Object.entries(wanted).map(([name, [bytes, level]]) => [name, [bytes, { level: level as 0 | 6 }]]),
          ),
        )
        const actual = await readAll(fileOf(zip))
        expect(actual.size).toBe(Object.keys(wanted).length)
        for (const [name, [bytes]] of Object.entries(wanted))
          expect(Buffer.compare(actual.get(name) ?? Buffer.of(1), bytes)).toBe(0)
      }),
      { numRuns: 25 * FUZZ_RUNS },
    )
  })

  // Goal: hostile zips end in one kind of error. Method: bytes of a real zip, altered, cut and doubled.
  test('throws nothing but HoloError for damaged files', async () => {
    const whole = zipSync({ 'library/x': new Uint8Array(5000).map((_, at) => at % 251), empty: new Uint8Array() })
    const damage = fc.record({ at: fc.nat(whole.length - 1), byte: fc.nat(255), cut: fc.nat(whole.length) })
    await fc.assert(
      fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 4 }), async (damages) => {
        let bytes = Uint8Array.from(whole)
        for (const { at, byte, cut } of damages) {
          if (at < bytes.length) bytes[at] = byte
          if (byte % 7 === 0) bytes = bytes.slice(0, cut)
        }
        await readAll(fileOf(bytes)).catch((error) => {
          if (!(error instanceof HoloError)) throw error
        })
      }),
      { numRuns: 300 * FUZZ_RUNS },
    )
  })

  test('stops a bomb at the length that its directory claims', async () => {
    const bomb = zipSync({ bomb: new Uint8Array(50_000_000) })
    const view = new DataView(bomb.buffer, bomb.byteOffset)
    let entry = bomb.length - 22
    while (view.getUint32(entry, true) !== 0x02014b50) entry--
    view.setUint32(entry + 24, 10, true)
    const error = await readAll(fileOf(bomb)).catch((e) => e)
    expect(error.message).toContain('entry bomb is longer than its 10 bytes')
  })

  test('names a missing file and a file of another kind', async () => {
    const missing = await ZipReader.open(join(folder, 'absent.zip')).catch((e) => e)
    expect(missing.code).toBe('zip-missing')
    const other = await ZipReader.open(fileOf(new TextEncoder().encode('no zip at all'))).catch((e) => e)
    expect(other.code).toBe('zip-invalid')
  })
})
