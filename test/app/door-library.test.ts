import { afterAll, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { LibraryBehindDoor, type LibraryBehindDoorOptions } from '../../src/app/door-library.ts'
import { never } from '../../src/base/clock.ts'
import { DOOR_BRINGS_MAX } from '../../src/base/door-limits.ts'
import { HoloError } from '../../src/base/errors.ts'
import type { FormedPieces } from '../../src/blob/pieces.ts'
import { blobPath, catalogPath } from '../../src/catalog/layout.ts'
import { catalogName } from '../../src/catalog/names.ts'
import { recordedFile, recordedLibrary } from '../support/door-of.ts'
import { failureOf } from '../support/failure-of.ts'
import { smallCold, TemporaryDirectory } from '../support/golden.ts'

const folder = new TemporaryDirectory()
afterAll(() => folder[Symbol.dispose]())
const library = recordedLibrary(folder.path)
const v1 = smallCold('gzip', 1).name
const absent = (number: number) => catalogName(String(number).padStart(16, '0'), 'linux_amd64')

const SEEN_NOTHING = { seen: () => undefined, signaturesOf: () => undefined }
const NO_PIECES: FormedPieces = {
  forms: () => undefined,
  areKept: () => false,
  inForm: async () => undefined,
  hashes: async function* () {},
}

/** Behind a door where the watch has seen nothing yet. */
function behind(special: Partial<LibraryBehindDoorOptions>): LibraryBehindDoor {
  return new LibraryBehindDoor({
    library,
    served: SEEN_NOTHING,
    pieces: NO_PIECES,
    bring: async () => {},
    ended: never,
    ...special,
  })
}

describe('bring()', () => {
  test('asks nobody for what is here, though nobody has seen it yet', async () => {
    const found = await behind({ bring: () => Promise.reject(new Error('asked')) }).bring(v1, never)
    expect([...(found?.digests ?? [])].join('\n')).toBe(recordedFile('parts-v1.txt').toString())
  })

  test('asks for what is here without all its blobs', async () => {
    const digest = recordedFile('parts-v1.txt').toString().slice(0, 64) as never
    const path = blobPath(library.roots, digest)
    const bytes = fs.readFileSync(path)
    fs.rmSync(path)
    const repairing = behind({ bring: async () => fs.writeFileSync(path, bytes) })
    expect(await repairing.held(v1, never)).toBeUndefined()
    expect((await repairing.bring(v1, never))?.name).toBe(v1)
  })

  test('gives up after its time, while the fetch goes on for whoever asks again', async () => {
    let asked = 0
    const gate = Promise.withResolvers<void>()
    const slow = behind({
      bringMs: 20,
      bring: () => {
        asked++
        return gate.promise
      },
    })
    expect(await slow.bring(absent(1), never)).toBeUndefined()
    expect(await slow.bring(absent(1), never)).toBeUndefined()
    expect(asked).toBe(1)
    gate.resolve()
    await gate.promise
    expect(await slow.bring(absent(1), never)).toBeUndefined()
    expect(asked).toBe(2)
  })

  test('fetches a bounded number at a time', async () => {
    const asked: string[] = []
    const full = behind({
      bringMs: 20,
      bring: (name) => {
        asked.push(name)
        return new Promise(() => {})
      },
    })
    const names = Array.from({ length: DOOR_BRINGS_MAX + 3 }, (_, number) => absent(number))
    expect(await Promise.all(names.map((name) => full.bring(name, never)))).toEqual(names.map(() => undefined))
    expect(asked).toEqual(names.slice(0, DOOR_BRINGS_MAX))
  })

  test('takes a miss for a miss and a bug for a bug, and leaves with whoever asked', async () => {
    const miss = new HoloError('nobody has it', { code: 'environment-nowhere', blame: 'missing' })
    expect(await behind({ bring: () => Promise.reject(miss) }).bring(absent(1), never)).toBeUndefined()
    const bug = new TypeError('undefined is not a function')
    expect(await failureOf(behind({ bring: () => Promise.reject(bug) }).bring(absent(1), never))).toBe(bug)
    const leaving = new AbortController()
    const waiting = behind({ bring: () => new Promise(() => {}) }).bring(absent(1), leaving.signal)
    const reason = new Error('the client has left')
    leaving.abort(reason)
    expect(await failureOf(waiting)).toBe(reason)
  })

  test('is no fault while the daemon ends', async () => {
    const ending = behind({ ended: AbortSignal.abort(), bring: () => Promise.reject(new Error('SIGTERM')) })
    expect(await ending.bring(absent(1), never)).toBeUndefined()
  })
})

test('held() sees that a catalog was replaced', async () => {
  using other = new TemporaryDirectory()
  const own = recordedLibrary(other.path)
  const first = await behind({ library: own }).held(v1, never)
  const seen = behind({ library: own, served: SEEN_NOTHING })
  expect((await seen.held(v1, never))?.stored).toEqual(first?.stored ?? Buffer.of())
  const repacked = Bun.gzipSync(Bun.gunzipSync(Uint8Array.from(first?.stored ?? [])), { level: 9 })
  fs.writeFileSync(catalogPath(own.roots, v1), repacked)
  expect(Buffer.compare((await seen.held(v1, never))?.stored ?? Buffer.of(), repacked)).toBe(0)
})
