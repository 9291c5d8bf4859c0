// Goal: what is served is right whatever has become of the disk, is made once, and is there again after a kill.
import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { never } from '../../src/base/clock.ts'
import { PIECE_BYTES } from '../../src/base/limits.ts'
import { type Sha256Digest, sha256Of } from '../../src/blob/digest.ts'
import type { PieceForm, PieceOnWire, PiecePreference, PieceRest } from '../../src/blob/pieces.ts'
import { unzstdExactly, zstdFrame } from '../../src/blob/zstd.ts'
import { blobPath, statePaths } from '../../src/catalog/layout.ts'
import { Library } from '../../src/store/library.ts'
import { LibraryPieceSink } from '../../src/store/piece-sink.ts'
import { LibraryPieces, type LibraryPiecesOptions } from '../../src/store/served-pieces.ts'
import { failureOf } from '../support/failure-of.ts'
import { rootsIn, TemporaryDirectory } from '../support/golden.ts'
import { type MadePieces, madeContent, madePieces } from '../support/made-pieces.ts'
import { runs } from '../support/runs.ts'
import { skipUnless } from '../support/skip.ts'

const onLinux = skipUnless(process.platform === 'linux', '/proc is there on Linux only')

const catalog = sha256Of(Buffer.from('a catalog'))

/** A library that holds `made`, all as gzip or raw, and pieces of it. */
function given(made: MadePieces, form: 'raw' | 'gzip' = 'raw', options: LibraryPiecesOptions = {}) {
  const home = new TemporaryDirectory()
  const roots = rootsIn(home.path)
  for (const content of made.blobs.values()) write(blobPath(roots, sha256Of(content)), content, form)
  const open = () =>
    new LibraryPieces(new Library(roots), { has: (each) => each === catalog, load: () => made.catalog }, options)
  const served = open()
  return {
    roots,
    served,
    /** Another process's view. */
    open,
    piece: (piece: number, preference: PiecePreference = 'fast') => served.piece(catalog, piece, preference, never),
    pathOf: (content: Uint8Array) => blobPath(roots, sha256Of(content)),
    frames: join(statePaths(roots).pieces, `${catalog}.frames`),
    async [Symbol.asyncDispose]() {
      await served[Symbol.asyncDispose]()
      home[Symbol.dispose]()
    },
  }
}

function write(path: string, content: Uint8Array, form: 'raw' | 'gzip'): void {
  fs.mkdirSync(join(path, '..'), { recursive: true })
  fs.writeFileSync(path, form === 'gzip' || content[0] === 0x1f ? gzipSync(content) : content)
}

function becomeDirectory(path: string): void {
  fs.rmSync(path)
  fs.mkdirSync(path)
}

function contentOf(wire: PieceOnWire | undefined, sizeBytes: number): Uint8Array | undefined {
  if (wire === undefined) return undefined
  return wire.encoding === 'zstd' ? unzstdExactly(wire.bytes, sizeBytes) : wire.bytes
}

function at(made: MadePieces, piece: number): Uint8Array {
  return made.contents[piece] ?? new Uint8Array(0)
}

const small = [1, 2, 3].map((seed) => madeContent(2000 * seed, seed))
const large = madeContent(2 * PIECE_BYTES + 777, 5)
const noise = new Uint8Array(new Bun.CryptoHasher('sha512').update('noise').digest())
const mixed = madePieces([...small, new Uint8Array(0), large, new Uint8Array(gzipSync('text'))])

describe('rest()', () => {
  const restOf = ({ encoding, bytes }: PieceOnWire, from: number, knownBytes: number): PieceRest => {
    const knownCrc = crc32(bytes.subarray(0, knownBytes))
    return { encoding, wireBytes: bytes.byteLength, from, knownBytes, knownCrc }
  }

  test('gives what comes after the beginning of the very form that is known, and nothing of others', async () => {
    await using it = given(mixed, 'gzip')
    const ask = (piece: number, rest: PieceRest) => it.served.rest(catalog, piece, rest, never)
    for (const preference of ['fast', 'small'] as const) {
      for (const piece of [0, 1]) {
        const wire = await it.piece(piece, preference)
        if (wire === undefined) throw new Error('there is no such piece')
        const { byteLength } = wire.bytes
        for (const from of [0, 7, byteLength - 1]) {
          for (const known of [0, 5, byteLength])
            expect(await ask(piece, restOf(wire, from, known))).toEqual(wire.bytes.slice(from))
        }
        const rest = restOf(wire, 7, 5)
        expect(await ask(piece, { ...rest, knownCrc: rest.knownCrc ^ 1 })).toBeUndefined()
        expect(await ask(piece, { ...rest, wireBytes: byteLength + 1 })).toBeUndefined()
        expect(await ask(9, rest)).toBeUndefined()
        expect(await it.served.rest(sha256Of(Buffer.from('another')), piece, rest, never)).toBeUndefined()
      }
    }
  })

  test('makes no frame for it', async () => {
    await using it = given(mixed)
    const rest = { encoding: 'zstd', wireBytes: 9, from: 3, knownBytes: 0, knownCrc: 0 } as const
    expect(await it.served.rest(catalog, 0, rest, never)).toBeUndefined()
    expect(fs.statSync(it.frames).size).toBeLessThan(100)
  })
})

/** Threads of this process that are Workers. */
function workers(): number {
  const tasks = fs.readdirSync('/proc/self/task')
  return tasks.filter((task) => fs.readFileSync(`/proc/self/task/${task}/comm`, 'utf8').startsWith('Worker')).length
}

describe('piece()', () => {
  test('gives every piece, raw for who is fast and as a frame for who is not, from raw and gzip blobs', async () => {
    for (const form of ['raw', 'gzip'] as const) {
      await using it = given(mixed, form)
      expect(it.served.pieceCount(catalog)).toBe(4)
      for (const piece of [3, 0, 2, 1]) {
        const fast = await it.piece(piece)
        expect(fast?.encoding).toBe('identity')
        expect(fast?.bytes).toEqual(at(mixed, piece))
        const slow = await it.piece(piece, 'small')
        expect(slow?.encoding).toBe('zstd')
        expect(contentOf(slow, at(mixed, piece).byteLength)).toEqual(at(mixed, piece))
      }
    }
  })

  test('makes a frame once for all who wait, and gives each of them bytes of his own', async () => {
    await using it = given(mixed)
    const wires = await Promise.all(Array.from({ length: 5 }, () => it.piece(0, 'small')))
    expect(new Set(wires.map((wire) => wire?.bytes.buffer)).size).toBe(5)
    expect(new Set(wires.map((wire) => sha256Of(wire?.bytes ?? large))).size).toBe(1)
    // From now on there is one, also for who would take it raw.
    expect((await it.piece(0, 'fast'))?.encoding).toBe('zstd')
  })

  test('sends raw what zstd does not make smaller, and does not try again', async () => {
    const made = madePieces([noise])
    await using it = given(made)
    expect(await it.piece(0, 'small')).toEqual({ encoding: 'identity', bytes: noise })
    await it.served[Symbol.asyncDispose]()
    expect(fs.statSync(it.frames).size).toBeLessThan(64)
    await using again = it.open()
    expect(await again.piece(catalog, 0, 'small', never)).toEqual({ encoding: 'identity', bytes: noise })
  })

  test('has nothing of a catalog or piece that is not held', async () => {
    await using it = given(mixed)
    const other = sha256Of(Buffer.from('another'))
    expect(it.served.pieceCount(other)).toBeUndefined()
    expect(await it.served.piece(other, 0, 'fast', never)).toBeUndefined()
    expect(await it.served.table(other, never)).toBeUndefined()
    for (const piece of [4, -1, 0.5, Number.NaN]) expect(await it.piece(piece)).toBeUndefined()
  })

  test.each([
    ['has gone', (path: string) => fs.rmSync(path)],
    ['has rotted', (path: string) => fs.writeFileSync(path, Buffer.alloc(fs.statSync(path).size))],
    ['is cut off', (path: string) => fs.truncateSync(path, fs.statSync(path).size - 1)],
    ['has become a directory', becomeDirectory],
    ['is called gzip', (path: string) => fs.writeFileSync(path, gzipSync('something else'))],
  ])('has nothing of a piece whose blob %s, and never fails', async (_what, spoil) => {
    for (const form of ['raw', 'gzip'] as const) {
      await using it = given(mixed, form)
      for (const piece of [0, 1, 2, 3]) expect(await it.piece(piece)).toBeDefined()
      for (const content of [small[1] ?? large, large]) spoil(it.pathOf(content))
      for (const preference of ['fast', 'small'] as const) {
        expect(await it.piece(0, preference)).toBeUndefined()
        // A decoded copy is as right as it was.
        if (form === 'raw') expect(await it.piece(2, preference)).toBeUndefined()
      }
    }
  })

  onLinux('leaves no file open, nor a decoded copy on the disk', async () => {
    const openFiles = () => fs.readdirSync('/proc/self/fd').length
    const rounds = async () => {
      await using it = given(mixed, 'gzip')
      for (const piece of [1, 2, 3]) await it.piece(piece)
      const late = [1, 2, 3].map((piece) => it.piece(piece, 'small').catch(() => undefined))
      await it.served[Symbol.asyncDispose]()
      await Promise.all(late)
    }
    await rounds()
    const before = openFiles()
    for (let round = 0; round < 5; round++) await rounds()
    expect(openFiles()).toBeLessThanOrEqual(before + 2)
  })

  onLinux('starts a second Worker only where the first one is busy', async () => {
    const before = workers()
    await using it = given(mixed)
    for (let round = 0; round < 3; round++) await it.piece(0)
    expect(workers() - before).toBe(1)
    await Promise.all([it.piece(0), it.piece(0), it.piece(0)])
    expect(workers() - before).toBe(2)
  })

  test('goes on where a Worker was ended, and ends for whoever aborts', async () => {
    await using it = given(mixed)
    const stop = new AbortController()
    const reason = new Error('enough')
    const waiting = failureOf(it.served.piece(catalog, 1, 'small', stop.signal))
    stop.abort(reason)
    expect(await waiting).toBe(reason)
    expect(contentOf(await it.piece(1, 'small'), PIECE_BYTES)).toEqual(at(mixed, 1))
  })

  test('gives pieces of what is being fetched as soon as they are proved', async () => {
    await using it = given(madePieces([]))
    const library = new Library(it.roots)
    const other = sha256Of(Buffer.from('partial'))
    await using sink = new LibraryPieceSink(library, mixed.pieces, {
      workers: 1,
      onFrame: (piece, frame) => it.served.keep(other, piece, frame),
    })
    {
      using _served = it.served.serve(other, sink)
      expect(it.served.pieceCount(other)).toBe(4)
      expect(await it.served.piece(other, 0, 'fast', never)).toBeUndefined()
      await sink.put(0, { encoding: 'zstd', bytes: new Uint8Array(zstdFrame(at(mixed, 0), 1)) }, 'ann', never)
      // The frame that came is passed on.
      const passed = await it.served.piece(other, 0, 'small', never)
      expect(sha256Of(passed?.bytes ?? large)).toBe(sha256Of(zstdFrame(at(mixed, 0), 1)))
      await sink.put(2, { encoding: 'identity', bytes: at(mixed, 2).slice() }, 'ann', never)
      expect(await it.served.piece(other, 2, 'fast', never)).toBeUndefined()
      await sink.setTable(mixed.table, 'ann', never)
      expect(await it.served.table(other, never)).toEqual(mixed.table)
      expect((await it.served.piece(other, 2, 'fast', never))?.bytes).toEqual(at(mixed, 2))
      for (const piece of [1, 3])
        await sink.put(piece, { encoding: 'identity', bytes: at(mixed, piece).slice() }, 'ann', never)
      expect((await it.served.piece(other, 2, 'fast', never))?.bytes).toEqual(at(mixed, 2))
    }
    expect(it.served.pieceCount(other)).toBeUndefined()
  })
})

describe('prepare()', () => {
  test('makes the table, which stays, and the frames where they are wanted', async () => {
    await using it = given(mixed, 'gzip')
    expect(await it.served.table(catalog, never)).toBeUndefined()
    expect(await it.served.prepare(catalog, { frames: false }, never)).toEqual(mixed.table)
    expect(await it.served.table(catalog, never)).toEqual(mixed.table)
    expect((await it.piece(0))?.encoding).toBe('identity')
    expect(await it.served.prepare(catalog, { frames: true }, never)).toEqual(mixed.table)
    for (const piece of [0, 1, 2, 3]) {
      const wire = await it.piece(piece)
      expect(wire?.encoding).toBe('zstd')
      expect(contentOf(wire, at(mixed, piece).byteLength)).toEqual(at(mixed, piece))
    }
    await it.served[Symbol.asyncDispose]()
    await using again = it.open()
    expect(await again.table(catalog, never)).toEqual(mixed.table)
    expect((await again.piece(catalog, 2, 'fast', never))?.encoding).toBe('zstd')
  })

  test('makes no table where a blob lacks, and none is believed that is damaged', async () => {
    await using it = given(mixed)
    fs.rmSync(it.pathOf(large))
    expect(await it.served.prepare(catalog, { frames: false }, never)).toBeUndefined()
    write(it.pathOf(large), large, 'raw')
    expect(await it.served.prepare(catalog, { frames: false }, never)).toEqual(mixed.table)
    const path = join(statePaths(it.roots).pieces, `${catalog}.table`)
    const stored = fs.readFileSync(path)
    stored[5] = (stored[5] ?? 0) ^ 1
    fs.writeFileSync(path, stored)
    expect(await it.served.table(catalog, never)).toBeUndefined()
  })

  test('ends with the signal', async () => {
    await using it = given(mixed)
    const reason = new Error('enough')
    const stop = new AbortController()
    const preparing = failureOf(it.served.prepare(catalog, { frames: true }, stop.signal))
    stop.abort(reason)
    expect(await preparing).toBe(reason)
  })
})

test('prepare() makes frames smaller that were made in haste, and others once', async () => {
  const folder = join(import.meta.dir, '..', '..', 'src', 'peer')
  const sources = fs.readdirSync(folder).map((name) => new Uint8Array(fs.readFileSync(join(folder, name))))
  const text = madePieces(sources)
  await using it = given(text)
  const lengths = async () => {
    const wires = await Promise.all(text.contents.map((_content, piece) => it.piece(piece)))
    return wires.map((wire) => (wire?.encoding === 'zstd' ? wire.bytes.byteLength : undefined))
  }
  for (const piece of text.contents.keys()) await it.piece(piece, 'small')
  const hasty = await lengths()
  // Which were made in haste is still known after it.
  await it.served.prepare(catalog, { frames: false }, never)
  expect(await it.served.prepare(catalog, { frames: true }, never)).toEqual(text.table)
  const prepared = await lengths()
  const sum = (values: readonly (number | undefined)[]) =>
    values.reduce<number>((total, each) => total + (each ?? 0), 0)
  expect(sum(prepared)).toBeLessThan(sum(hasty))
  for (const [piece, content] of text.contents.entries())
    expect(contentOf(await it.piece(piece), content.byteLength)).toEqual(content)
  await it.served[Symbol.asyncDispose]()
  const fileBytes = fs.statSync(it.frames).size
  await using again = it.open()
  expect(await again.prepare(catalog, { frames: true }, never)).toEqual(text.table)
  await again[Symbol.asyncDispose]()
  expect(fs.statSync(it.frames).size).toBe(fileBytes)
})

describe('forms()', () => {
  const bytesIn = async (it: ReturnType<typeof given>, piece: number, form: PieceForm | undefined) =>
    form === undefined ? undefined : it.served.inForm(catalog, piece, form, never)
  const hashesOf = async (it: ReturnType<typeof given>) => {
    const chunks: Uint8Array[] = []
    for await (const chunk of it.served.hashes(catalog, never)) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  test('tells what can be sent without making it, and each piece is to be had in that form', async () => {
    await using it = given(mixed)
    await it.piece(1, 'small')
    const forms = it.served.forms(catalog) ?? []
    expect(forms.map(({ encoding }) => encoding)).toEqual(['identity', 'zstd', 'identity', 'identity'])
    // Frames that were made since do not change what was told.
    await it.served.prepare(catalog, { frames: true }, never)
    for (const [piece, form] of forms.entries()) {
      const bytes = await bytesIn(it, piece, form)
      expect(bytes).toHaveLength(form.bytes)
      const wire = { encoding: form.encoding, bytes: bytes ?? noise }
      expect(contentOf(wire, at(mixed, piece).byteLength)).toEqual(at(mixed, piece))
    }
    expect(it.served.forms(catalog)?.every(({ encoding }) => encoding === 'zstd')).toBe(true)
  })

  test('has nothing in a form that another frame has taken the place of, or of what is not held whole', async () => {
    await using it = given(mixed)
    await it.piece(1, 'small')
    const form = it.served.forms(catalog)?.[1]
    expect(form?.encoding).toBe('zstd')
    for (const wrong of [{ crc: 7 }, { bytes: 7 }]) {
      expect(await bytesIn(it, 1, { ...form, ...wrong } as PieceForm)).toBeUndefined()
    }
    expect(await bytesIn(it, 9, { encoding: 'identity', bytes: 1 })).toBeUndefined()
    expect(it.served.forms(sha256Of(noise))).toBeUndefined()
  })

  test('hashes() computes the table once, keeps it, and ends early where a blob is not right', async () => {
    await using it = given(mixed)
    const [first, second] = await Promise.all([hashesOf(it), hashesOf(it)])
    expect(first.equals(second)).toBe(true)
    const right = mixed.contents.map((content) => sha256Of(content)).join('')
    expect(first.toString('hex')).toBe(right)
    expect(await it.served.table(catalog, never)).toEqual(new Uint8Array(first))
    await using other = given(mixed)
    fs.writeFileSync(other.pathOf(large), large.subarray(1))
    expect(right.startsWith((await hashesOf(other)).toString('hex'))).toBe(true)
    expect(await hashesOf(other)).toHaveLength(32)
    expect(await other.served.table(catalog, never)).toBeUndefined()
  })
})

describe('the folder of prepared frames', () => {
  test('is whole again after a kill at any byte, and nothing damaged is sent', async () => {
    await using it = given(mixed)
    await it.served.prepare(catalog, { frames: true }, never)
    await it.served[Symbol.asyncDispose]()
    const whole = fs.readFileSync(it.frames)
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: whole.byteLength }), fc.nat(), fc.boolean(), async (end, place, flip) => {
        const torn = Buffer.from(whole.subarray(0, end))
        if (flip && end > 0) torn[place % end] = (torn[place % end] ?? 0) ^ 0x10
        fs.writeFileSync(it.frames, torn)
        await using served = it.open()
        for (const piece of [0, 1, 2, 3]) {
          const wire = await served.piece(catalog, piece, 'small', never)
          expect(contentOf(wire, at(mixed, piece).byteLength)).toEqual(at(mixed, piece))
        }
      }),
      { numRuns: runs(10) },
    )
    await using served = it.open()
    for (const piece of [0, 1, 2, 3]) expect((await served.piece(catalog, piece, 'fast', never))?.encoding).toBe('zstd')
  }, 600_000)

  test('stays within its quota: what was not used for longest goes', async () => {
    using home = new TemporaryDirectory()
    const roots = rootsIn(home.path)
    for (const content of mixed.blobs.values()) write(blobPath(roots, sha256Of(content)), content, 'raw')
    const names = ['one', 'two', 'three'].map((name) => sha256Of(Buffer.from(name)))
    const [one, two, three] = names as [Sha256Digest, Sha256Digest, Sha256Digest]
    const one1 = zstdFrame(at(mixed, 1), 6).byteLength
    const sizes = () =>
      fs.readdirSync(statePaths(roots).pieces).map((name) => fs.statSync(join(statePaths(roots).pieces, name)).size)
    // Room for all frames of two catalogs, not of three.
    const bytesMax = 5 * one1
    let nowMs = 1_800_000_000_000
    const clock = { wallMs: () => (nowMs += 1000) }
    const open = () =>
      new LibraryPieces(new Library(roots), { has: () => true, load: () => mixed.catalog }, { bytesMax, clock })
    for (const name of [one, two, one, three]) {
      await using served = open()
      for (const piece of [0, 1, 2]) await served.piece(name, piece, 'small', never)
    }
    expect(fs.readdirSync(statePaths(roots).pieces).sort()).toEqual([`${one}.frames`, `${three}.frames`].sort())
    expect(sizes().reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(bytesMax + 100)
  })

  test.each([
    ['that cannot be made', (path: string) => fs.writeFileSync(path, 'no folder')],
    ['that others can write', (path: string) => fs.mkdirSync(path, { mode: 0o755 })],
    ['that is a link', (path: string) => fs.symlinkSync(tmpdir(), path)],
  ])('%s costs time only', async (_what, prevent) => {
    await using it = given(mixed)
    fs.mkdirSync(statePaths(it.roots).directory, { recursive: true })
    prevent(statePaths(it.roots).pieces)
    for (let round = 0; round < 2; round++) {
      expect(contentOf(await it.piece(0, 'small'), at(mixed, 0).byteLength)).toEqual(at(mixed, 0))
    }
    expect(await it.served.prepare(catalog, { frames: true }, never)).toEqual(mixed.table)
    expect(await it.served.table(catalog, never)).toBeUndefined()
  })
})
