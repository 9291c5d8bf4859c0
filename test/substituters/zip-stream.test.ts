import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { readZipStream, ZipStreamError } from '../../src/substituters/zip-stream.ts'
import { goZip } from '../support/rccremote-twin.ts'
import { runs } from '../support/runs.ts'

async function* inSteps(bytes: Uint8Array, step: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += step) yield bytes.subarray(at, at + step)
}

/** @param keep which entries are read by us; the others are left to the reader */
async function entriesOf(bytes: Uint8Array, step: number, keep: (index: number) => boolean = () => true) {
  const entries: [string, Uint8Array][] = []
  let index = 0
  for await (const entry of readZipStream(inSteps(bytes, step))) {
    const chunks: Uint8Array[] = []
    if (keep(index++)) for await (const chunk of entry.bytes) chunks.push(chunk)
    entries.push([entry.name, Buffer.concat(chunks)])
  }
  return entries
}

const files = fc.array(fc.tuple(fc.stringMatching(/^[a-z/]{1,20}$/), fc.uint8Array({ maxLength: 3_000 })), {
  maxLength: 12,
})

describe('readZipStream()', () => {
  test('reads what a real rccremote sent, whatever the chunks', async () => {
    const folder = join(import.meta.dir, '../golden/protocol')
    const zips = fs.readdirSync(folder).filter((name) => name.endsWith('.zip'))
    expect(zips.length).toBeGreaterThan(0)
    for (const name of zips) {
      const bytes = fs.readFileSync(join(folder, name))
      const whole = await entriesOf(bytes, bytes.byteLength)
      expect(whole.length).toBeGreaterThan(1)
      expect(await entriesOf(bytes, 997)).toEqual(whole)
    }
  })

  test('reads every entry, also those after one that was left unread', async () => {
    await fc.assert(
      fc.asyncProperty(files, fc.integer({ min: 1, max: 5_000 }), fc.func(fc.boolean()), async (drawn, step, keep) => {
        const entries = drawn.map(([name, bytes]) => [name, Buffer.from(bytes)] as const)
        const read = await entriesOf(goZip(entries), step, keep)
        expect(read.map(([name]) => name)).toEqual(entries.map(([name]) => name))
        for (const [index, [, bytes]] of read.entries()) {
          if (keep(index)) expect(Buffer.compare(bytes, entries[index]?.[1] ?? Buffer.alloc(0))).toBe(0)
        }
      }),
      { numRuns: runs(60) },
    )
  })

  test('takes damage for what it is, and never hangs', async () => {
    await fc.assert(
      fc.asyncProperty(files, fc.nat(), fc.nat(255), fc.nat(), async (drawn, place, value, cut) => {
        const zip = Uint8Array.from(goZip(drawn.map(([name, bytes]) => [name, Buffer.from(bytes)])))
        zip[place % zip.byteLength] = value
        try {
          await entriesOf(zip.subarray(0, 1 + (cut % zip.byteLength)), 100)
        } catch (error) {
          expect(error).toBeInstanceOf(ZipStreamError)
        }
      }),
      { numRuns: runs(200) },
    )
  })
})
