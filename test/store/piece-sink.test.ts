// Goal: whatever pieces come, in any order, form and from anybody, only right blobs come to rest, and no honest source
// is ever blamed.
import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join, resolve } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { never } from '../../src/base/clock.ts'
import { PIECE_BYTES } from '../../src/base/limits.ts'
import { type Sha256Digest, sha256Of } from '../../src/blob/digest.ts'
import { beginsLikeGzip, isGzip } from '../../src/blob/gzip.ts'
import type { PieceOnWire, PieceReceipt } from '../../src/blob/pieces.ts'
import { zstdFrame } from '../../src/blob/zstd.ts'
import { blobPath, libraryDirectory } from '../../src/catalog/layout.ts'
import { Library, type LibraryOptions } from '../../src/store/library.ts'
import { LibraryPieceSink } from '../../src/store/piece-sink.ts'
import { failureOf } from '../support/failure-of.ts'
import { rootsIn, TemporaryDirectory } from '../support/golden.ts'
import { altered, type MadePieces, madeContent, madePieces, tableOf } from '../support/made-pieces.ts'
import { runs } from '../support/runs.ts'
import { skipUnless } from '../support/skip.ts'

const onLinux = skipUnless(process.platform === 'linux', '/proc is there on Linux only')

const WORKERS = 2
const repository = resolve(import.meta.dir, '../..')

/** A library and a sink for `made`, both gone at the end of the scope. */
function given(made: MadePieces, options: LibraryOptions = {}, onFrame = (_piece: number, _frame: Uint8Array) => {}) {
  const home = new TemporaryDirectory()
  const library = new Library(rootsIn(home.path), options)
  const sink = new LibraryPieceSink(library, made.pieces, { workers: WORKERS, onFrame })
  return {
    library,
    sink,
    put: (piece: number, content: Uint8Array, source = 'honest') => sink.put(piece, raw(content), source, never),
    async [Symbol.asyncDispose]() {
      await sink[Symbol.asyncDispose]()
      home[Symbol.dispose]()
    },
  }
}

function raw(content: Uint8Array): PieceOnWire {
  return { encoding: 'identity', bytes: content.slice() }
}

function zstd(content: Uint8Array): PieceOnWire {
  return { encoding: 'zstd', bytes: new Uint8Array(zstdFrame(content, 1)) }
}

/** Blobs of `made` that are not in the library as they should be. */
function wrongOrMissing(library: Library, made: MadePieces): string[] {
  return made.pieces.blobs
    .filter(({ digest, sizeBytes }) => {
      const found = library.find(digest)
      return found === undefined || sha256Of(found.whole(sizeBytes)) !== digest
    })
    .map(({ digest }) => digest)
}

function temporariesIn(library: Library): string[] {
  return fs.readdirSync(libraryDirectory(library.roots)).filter((name) => name.startsWith('.'))
}

/** Files among them: while a Worker lives it has a directory for them, mostly empty. */
function unfinishedIn(library: Library): string[] {
  const isFile = (name: string) => fs.statSync(join(libraryDirectory(library.roots), name)).isFile()
  return temporariesIn(library).flatMap((name) =>
    isFile(name) ? [name] : fs.readdirSync(join(libraryDirectory(library.roots), name)),
  )
}

function contentOf(made: MadePieces, piece: number): Uint8Array {
  return made.contents[piece] ?? new Uint8Array(0)
}

const small = [0, 1, 2, 3].map((seed) => madeContent(1000 * seed, seed))
const large = madeContent(3 * PIECE_BYTES + 12_345, 7)
const other = madeContent(2 * PIECE_BYTES, 8)
/** One group, then four ranges of `large`. */
const mixed = madePieces([...small, large])

describe('put()', () => {
  test('puts a group and a large blob to rest, raw and zstd, ranges in any order', async () => {
    for (const form of [raw, zstd]) {
      await using it = given(mixed)
      const kinds: string[] = []
      let blobs = 0
      for (const piece of [3, 1, 0, 4, 2]) {
        const receipt = await it.sink.put(piece, form(contentOf(mixed, piece)), 'honest', never)
        kinds.push(receipt.verdict.verdict)
        blobs += receipt.blobs
        if (piece === 2) expect([...receipt.proved].sort()).toEqual([1, 3, 4])
      }
      expect(kinds).toEqual(['held', 'held', 'stored', 'held', 'stored'])
      expect(blobs).toBe(5)
      expect(wrongOrMissing(it.library, mixed)).toEqual([])
      expect(unfinishedIn(it.library)).toEqual([])
      it.library.notes.flush()
      const again = new Library(it.library.roots)
      for (const { digest } of mixed.pieces.blobs) {
        const stamp = new Uint32Array(8)
        expect(again.notes.find(digest, stamp, 0)).toBe('identity')
        expect([...stamp]).toEqual([...(again.find(digest)?.stamp ?? [])])
      }
    }
  })

  test('writes what the settings want, and what begins like gzip as gzip', async () => {
    const gzipLike = new Uint8Array(gzipSync(madeContent(4 * PIECE_BYTES, 3), { level: 1 }))
    const made = madePieces([new Uint8Array(gzipSync('text')), gzipLike, large, ...small])
    expect(gzipLike.byteLength).toBeGreaterThan(PIECE_BYTES)
    for (const compression of ['raw', 'gzip'] as const) {
      await using it = given(made, { compression })
      for (const piece of [...made.contents.keys()].reverse()) await it.put(piece, contentOf(made, piece))
      expect(wrongOrMissing(it.library, made)).toEqual([])
      for (const [digest, content] of made.blobs) {
        const stored = fs.readFileSync(blobPath(it.library.roots, sha256Of(content)))
        expect(isGzip(stored)).toBe(compression === 'gzip' || beginsLikeGzip(content))
        if (isGzip(stored)) expect(sha256Of(gunzipSync(stored)) as string).toBe(digest)
      }
      expect(unfinishedIn(it.library)).toEqual([])
    }
  })

  test('keeps the right blobs of a group in which another one is wrong', async () => {
    await using it = given(mixed)
    const { verdict, blobs } = await it.put(0, altered(contentOf(mixed, 0), 2500), 'liar')
    expect(verdict).toMatchObject({ verdict: 'wrong', error: { blame: 'source', code: 'blob-corrupt' } })
    if (verdict.verdict === 'wrong') expect(verdict.error.message).toContain('liar')
    expect(blobs).toBe(3)
    expect(await it.put(0, contentOf(mixed, 0))).toMatchObject({ verdict: { verdict: 'stored' }, blobs: 1 })
  })

  test('verifies blobs that are there already, and leaves their files alone', async () => {
    await using it = given(mixed)
    await it.put(0, contentOf(mixed, 0))
    const digest = mixed.pieces.blobs[1]?.digest ?? sha256Of(large)
    const before = it.library.find(digest)?.stamp
    expect(await it.put(0, altered(contentOf(mixed, 0), 0), 'liar')).toMatchObject({ verdict: { verdict: 'wrong' } })
    expect(await it.put(0, contentOf(mixed, 0))).toMatchObject({ verdict: { verdict: 'stored' }, blobs: 0 })
    expect([...(it.library.find(digest)?.stamp ?? [])]).toEqual([...(before ?? [0])])
  })

  const group = contentOf(mixed, 0)
  const frame = new Uint8Array(zstdFrame(group, 3))
  const bomb = new Uint8Array(zstdFrame(new Uint8Array(256 << 20), 1))
  const wires: [what: string, encoding: PieceOnWire['encoding'], bytes: Uint8Array][] = [
    ['a short piece', 'identity', group.subarray(1)],
    ['a long piece', 'identity', Buffer.concat([group, new Uint8Array(1)])],
    ['a frame that is cut off', 'zstd', frame.subarray(0, -1)],
    ['a frame with something behind it', 'zstd', Buffer.concat([frame, new Uint8Array(1)])],
    ['two frames', 'zstd', Buffer.concat([frame, frame])],
    ['a frame of another size', 'zstd', new Uint8Array(zstdFrame(group.subarray(1), 3))],
    ['a frame whose content is another by a bit', 'zstd', new Uint8Array(zstdFrame(altered(group, 7), 3))],
    ['a bomb', 'zstd', bomb],
    ['raw bytes that are called zstd', 'zstd', group],
    ['nothing', 'zstd', new Uint8Array(0)],
    ['more than a piece', 'zstd', new Uint8Array(PIECE_BYTES + 1)],
  ]
  test.each(wires)('refuses %s, and names its source', async (_what, encoding, bytes) => {
    await using it = given(mixed)
    for (const piece of [0, 2]) {
      const { verdict } = await it.sink.put(piece, { encoding, bytes: new Uint8Array(bytes) }, 'liar', never)
      expect(verdict).toMatchObject({ verdict: 'wrong', error: { blame: 'source', code: 'blob-corrupt' } })
      if (verdict.verdict === 'wrong') expect(verdict.error.message).toContain('liar')
    }
    expect(it.library.find(mixed.pieces.blobs[1]?.digest ?? sha256Of(large))).toBeUndefined()
  })

  test('refuses a piece that the catalog does not have, and more than the wire may carry', async () => {
    await using it = given(mixed)
    expect(await failureOf(it.put(5, new Uint8Array(1)))).toMatchObject({ code: 'piece-unknown', blame: 'source' })
  })

  test('gives back the frames that are proved, and only those', async () => {
    const frames = new Map<number, string>()
    await using it = given(mixed, {}, (piece, bytes) => frames.set(piece, sha256Of(bytes)))
    await it.sink.put(0, zstd(altered(group, 9)), 'liar', never)
    for (const piece of [0, 1, 2, 3, 4]) await it.sink.put(piece, zstd(contentOf(mixed, piece)), 'honest', never)
    await it.put(0, group)
    // Ranges that came before the last one are proved later, when their frames are gone.
    expect([...frames.keys()]).toEqual([0, 4])
    expect(frames.get(0)).toBe(sha256Of(zstdFrame(group, 1)))
  })

  test('need not be called for what survey() finds in the library', async () => {
    await using it = given(mixed)
    expect(await it.sink.survey(never)).toEqual([])
    await it.put(0, contentOf(mixed, 0))
    await it.put(1, contentOf(mixed, 1))
    await using next = new LibraryPieceSink(it.library, mixed.pieces, { workers: 1 })
    expect(next.placeOf(0)).toBeUndefined()
    expect(await next.survey(never)).toEqual([0])
    expect(next.placeOf(0)).toEqual({ kind: 'library' })
    for (const piece of [2, 3, 4]) await it.put(piece, contentOf(mixed, piece))
    expect(await next.survey(never)).toEqual([0, 1, 2, 3, 4])
  })

  test('takes a large blob that has come another way for whole', async () => {
    await using it = given(mixed)
    await it.put(1, contentOf(mixed, 1))
    await it.sink.store.put(
      { digest: sha256Of(large), sizeBytes: large.byteLength },
      { source: 'zip', encoding: 'identity', bytes: new Blob([large as Uint8Array<ArrayBuffer>]).stream() },
      never,
    )
    const made = madePieces([other])
    await using fresh = given(made)
    await fresh.library.put(
      { digest: sha256Of(other), sizeBytes: other.byteLength },
      { source: 'zip', encoding: 'identity', bytes: new Blob([other as Uint8Array<ArrayBuffer>]).stream() },
      never,
    )
    expect(await fresh.put(0, contentOf(made, 0))).toMatchObject({
      verdict: { verdict: 'stored' },
      proved: [1],
      blobs: 0,
    })
    for (const piece of [0, 2, 3, 4]) await it.put(piece, contentOf(mixed, piece))
    expect(wrongOrMissing(it.library, mixed)).toEqual([])
  })
})

describe('a wrong whole', () => {
  test('is fetched again, and the liar is named once it is right', async () => {
    await using it = given(mixed)
    for (const piece of [1, 2]) await it.put(piece, contentOf(mixed, piece), 'ann')
    await it.put(3, altered(contentOf(mixed, 3), 5), 'liar')
    const wrong = await it.put(4, contentOf(mixed, 4), 'ben')
    expect(wrong.verdict).toMatchObject({
      verdict: 'blob-wrong',
      pieces: [1, 2, 3, 4],
      error: { code: 'blob-corrupt' },
    })
    expect(wrong.liars.size).toBe(0)
    let last: PieceReceipt | undefined
    for (const piece of [1, 2, 3, 4]) last = await it.put(piece, contentOf(mixed, piece), 'ben')
    expect([...(last?.liars.keys() ?? [])]).toEqual(['liar'])
    expect(String(last?.liars.get('liar'))).toContain(sha256Of(large))
    expect(wrongOrMissing(it.library, mixed)).not.toContain(sha256Of(large))
  })

  test('that came from one source alone names it at once', async () => {
    await using it = given(mixed)
    let last: PieceReceipt | undefined
    for (const piece of [1, 2, 3, 4]) last = await it.put(piece, altered(contentOf(mixed, piece), piece), 'liar')
    expect(last?.verdict.verdict).toBe('blob-wrong')
    expect([...(last?.liars.keys() ?? [])]).toEqual(['liar'])
  })
})

describe('setTable()', () => {
  test('proves ranges before their blob is whole, and those that came earlier', async () => {
    await using it = given(mixed)
    await it.put(2, contentOf(mixed, 2))
    expect(it.sink.placeOf(2)).toBeUndefined()
    expect(await it.sink.setTable(mixed.table, 'ann', never)).toEqual([2])
    expect((await it.put(4, contentOf(mixed, 4))).verdict).toEqual({ verdict: 'stored' })
    for (const piece of [2, 4]) {
      const place = it.sink.placeOf(piece)
      if (place?.kind !== 'temporary') throw new Error('it is not in a temporary')
      const read = fs.readFileSync(place.path).subarray(place.offset, place.offset + place.bytes)
      expect(sha256Of(read)).toBe(place.sha256)
      expect(place.sha256).toBe(sha256Of(contentOf(mixed, piece)))
    }
    expect(it.sink.placeOf(1)).toBeUndefined()
    for (const piece of [1, 3]) await it.put(piece, contentOf(mixed, piece))
    expect(it.sink.placeOf(4)).toEqual({ kind: 'library' })
    expect(unfinishedIn(it.library)).toEqual([])
  })

  test('lets no other bytes pass for those of a range that is proved', async () => {
    const frames: number[] = []
    await using it = given(mixed, {}, (piece) => frames.push(piece))
    await it.sink.setTable(mixed.table, 'ann', never)
    await it.sink.put(2, zstd(contentOf(mixed, 2)), 'ann', never)
    await it.sink.put(2, zstd(altered(contentOf(mixed, 2), 3)), 'liar', never)
    expect(frames).toEqual([2])
    for (const piece of [1, 3, 4]) await it.put(piece, contentOf(mixed, piece))
    await it.sink.put(2, zstd(altered(contentOf(mixed, 2), 3)), 'liar', never)
    expect(frames).toEqual([2])
    expect(wrongOrMissing(it.library, mixed)).not.toContain(sha256Of(large))
  })

  test('has only what differs fetched again, and names who sent it', async () => {
    await using it = given(mixed)
    await it.sink.setTable(mixed.table, 'ann', never)
    expect((await it.put(3, altered(contentOf(mixed, 3), 5), 'liar')).verdict).toEqual({ verdict: 'held' })
    for (const piece of [1, 2]) await it.put(piece, contentOf(mixed, piece), 'ann')
    expect((await it.put(4, contentOf(mixed, 4), 'ann')).verdict).toMatchObject({ verdict: 'blob-wrong', pieces: [3] })
    const last = await it.put(3, contentOf(mixed, 3), 'ann')
    expect(last.verdict).toEqual({ verdict: 'stored' })
    expect([...last.liars.keys()]).toEqual(['liar'])
  })

  test('of a liar blames nobody but him', async () => {
    const lie = tableOf(mixed.contents.map((content, piece) => (piece === 3 ? altered(content, 1) : content)))
    await using it = given(mixed)
    await it.sink.setTable(lie, 'liar', never)
    const verdicts: string[] = []
    let last: PieceReceipt | undefined
    for (const piece of [1, 2, 3, 4]) {
      last = await it.put(piece, contentOf(mixed, piece), 'ann')
      verdicts.push(last.verdict.verdict)
    }
    expect(verdicts).toEqual(['stored', 'stored', 'held', 'stored'])
    expect([...(last?.liars.keys() ?? [])]).toEqual(['liar'])
    expect(last?.liars.get('liar')).toMatchObject({ code: 'piece-table-wrong' })
    expect(it.sink.table).toBeUndefined()
    expect(wrongOrMissing(it.library, mixed)).not.toContain(sha256Of(large))
  })

  test('of a liar who also sends what it says is overcome', async () => {
    const lies = mixed.contents.map((content, piece) => (piece === 3 ? altered(content, 1) : content))
    await using it = given(mixed)
    await it.sink.setTable(tableOf(lies), 'liar', never)
    for (const piece of [1, 2]) await it.put(piece, contentOf(mixed, piece), 'ann')
    expect((await it.put(3, lies[3] ?? large, 'liar')).verdict).toEqual({ verdict: 'stored' })
    const wrong = await it.put(4, contentOf(mixed, 4), 'ben')
    // All of it is as the table says, and yet wrong: so the table is.
    expect(wrong.verdict).toMatchObject({ verdict: 'blob-wrong', pieces: [1, 2, 3, 4] })
    expect([...wrong.liars.keys()]).toEqual(['liar'])
    let last: PieceReceipt | undefined
    for (const piece of [1, 2, 3, 4]) last = await it.put(piece, contentOf(mixed, piece), 'ann')
    expect([...(last?.liars.keys() ?? [])]).toEqual(['liar'])
  })

  test('refuses one of another length', async () => {
    await using it = given(mixed)
    expect(await failureOf(it.sink.setTable(mixed.table.subarray(1), 'liar', never))).toMatchObject({
      code: 'piece-table-wrong',
      blame: 'source',
    })
  })
})

describe('the end', () => {
  test('of a sink in the middle leaves no temporaries, and keeps what is whole', async () => {
    await using it = given(mixed)
    await it.put(0, contentOf(mixed, 0))
    await it.put(1, contentOf(mixed, 1))
    expect(unfinishedIn(it.library)).toHaveLength(1)
    const late = [2, 3].map((piece) => failureOf(it.put(piece, contentOf(mixed, piece))))
    await it.sink[Symbol.asyncDispose]()
    await Promise.all(late)
    expect(temporariesIn(it.library)).toEqual([])
    expect(it.library.holds(mixed.pieces.blobs[1]?.digest ?? sha256Of(large))).toBe(true)
    expect(await failureOf(it.put(2, contentOf(mixed, 2)))).toBeInstanceOf(Error)
  })

  onLinux('of a sink in the middle leaves no file open', async () => {
    const openFiles = () => fs.readdirSync('/proc/self/fd').length
    const fetched = async () => {
      await using it = given(mixed, { compression: 'gzip' })
      const late = mixed.contents.map((content, piece) => failureOf(it.put(piece, content)).catch(() => {}))
      const stream = {
        source: 'zip',
        encoding: 'identity',
        bytes: new Blob([new Uint8Array(5 << 20)]).stream(),
      } as const
      late.push(failureOf(it.sink.store.put({ digest: sha256Of(large), sizeBytes: 5 << 20 }, stream, never)))
      await it.put(0, contentOf(mixed, 0))
      await it.sink[Symbol.asyncDispose]()
      await Promise.all(late)
      expect(temporariesIn(it.library)).toEqual([])
    }
    await fetched()
    const before = openFiles()
    for (let round = 0; round < 5; round++) await fetched()
    expect(openFiles()).toBeLessThanOrEqual(before + 2)
  })

  test('of who waits comes at once when the signal aborts', async () => {
    await using it = given(mixed)
    const stop = new AbortController()
    const waiting = failureOf(it.sink.put(0, raw(contentOf(mixed, 0)), 'honest', stop.signal))
    const reason = new Error('enough')
    stop.abort(reason)
    expect(await waiting).toBe(reason)
  })

  test('of its Workers is an error for who waits and for who comes later, not a wait', async () => {
    await using it = given(mixed)
    const broken = () => ({ encoding: 'zstd', bytes: new Uint8Array(9) }) as const
    const waiting = [0, 1, 2, 3, 4].map((piece) => failureOf(it.sink.put(piece, broken(), 'a', never)))
    await it.sink[Symbol.asyncDispose]()
    for (const error of await Promise.all(waiting)) expect(error).toBeInstanceOf(Error)
    expect(await failureOf(it.sink.put(0, broken(), 'a', never))).toBeInstanceOf(Error)
  })

  // Method: a process that puts these pieces, and is killed at some point of it.
  test('of the process by kill -9 leaves nothing wrong, and temporaries that the next sweep takes', async () => {
    const program = `
      import { never } from '${repository}/src/base/clock.ts'
      import { Library } from '${repository}/src/store/library.ts'
      import { LibraryPieceSink } from '${repository}/src/store/piece-sink.ts'
      import { rootsIn } from '${repository}/test/support/golden.ts'
      import { madeContent, madePieces } from '${repository}/test/support/made-pieces.ts'
      const made = madePieces(Array.from({ length: 200 }, (_, at) => madeContent(at * 997 % 30_000 + (at % 50 === 0 ? 2_200_000 : 0), at)))
      const sink = new LibraryPieceSink(new Library(rootsIn(process.env.KILLED_HOME)), made.pieces, { workers: 2 })
      for (const round of [1, 2]) for (const [piece, content] of made.contents.entries()) {
        if (piece % 3 !== 0 || round === 2) await sink.put(piece, { encoding: 'identity', bytes: content.slice() }, 'honest', never)
        process.stdout.write('.')
      }`
    const made = madePieces(
      Array.from({ length: 200 }, (_, at) => madeContent(((at * 997) % 30_000) + (at % 50 === 0 ? 2_200_000 : 0), at)),
    )
    for (const dots of [2, 12]) {
      using home = new TemporaryDirectory()
      const child = Bun.spawn([process.execPath, '-e', program], {
        env: { ...process.env, KILLED_HOME: home.path },
        stdout: 'pipe',
      })
      let seen = 0
      for await (const chunk of child.stdout) {
        seen += chunk.byteLength
        if (seen >= dots) break
      }
      child.kill('SIGKILL')
      await child.exited
      const library = new Library(rootsIn(home.path))
      library.sweep(Date.now())
      expect(temporariesIn(library)).toEqual([])
      for (const { digest, sizeBytes } of made.pieces.blobs) {
        const found = library.find(digest)
        if (found !== undefined) expect(sha256Of(found.whole(sizeBytes))).toBe(digest as Sha256Digest)
      }
      await using sink = new LibraryPieceSink(library, made.pieces, { workers: 2 })
      for (const [piece, content] of made.contents.entries()) {
        const { verdict } = await sink.put(piece, raw(content), 'honest', never)
        expect(['stored', 'held']).toContain(verdict.verdict)
      }
      expect(wrongOrMissing(library, made)).toEqual([])
    }
  })

  test('of a disk that cannot be written blames the host', async () => {
    await using it = given(mixed)
    fs.mkdirSync(join(libraryDirectory(it.library.roots), '..'), { recursive: true })
    fs.writeFileSync(libraryDirectory(it.library.roots), 'no directory')
    expect(await failureOf(it.put(0, contentOf(mixed, 0)))).toMatchObject({ blame: 'host' })
    fs.rmSync(libraryDirectory(it.library.roots))
    expect(await it.put(0, contentOf(mixed, 0))).toMatchObject({ verdict: { verdict: 'stored' }, blobs: 4 })
  })
})

// Method: half a GiB of pieces with 16 under way; the resident set of a process of its own tells.
test('put() needs memory for what is under way, not for what has gone through', async () => {
  const program = `
    import { never } from '${repository}/src/base/clock.ts'
    import { mapBounded } from '${repository}/src/base/concurrency.ts'
    import { Library } from '${repository}/src/store/library.ts'
    import { LibraryPieceSink } from '${repository}/src/store/piece-sink.ts'
    import { rootsIn } from '${repository}/test/support/golden.ts'
    import { madeContent, madePieces } from '${repository}/test/support/made-pieces.ts'
    const made = madePieces([madeContent(8 << 20, 1), ...Array.from({ length: 400 }, (_, at) => madeContent(20_000, at))])
    const sink = new LibraryPieceSink(new Library(rootsIn(process.env.KILLED_HOME)), made.pieces, { workers: 2 })
    const put = (piece) => sink.put(piece, { encoding: 'identity', bytes: made.contents[piece].slice() }, 'honest', never)
    const all = [...made.contents.keys()]
    await mapBounded(all, 16, put, never)
    const before = process.memoryUsage.rss()
    const groups = all.filter((piece) => made.pieces.pieces[piece].kind === 'group')
    await mapBounded(Array.from({ length: 512 }, (_, at) => groups[at % groups.length]), 16, put, never)
    console.log((process.memoryUsage.rss() - before) / 2 ** 20)
    await sink[Symbol.asyncDispose]()`
  using home = new TemporaryDirectory()
  const { stdout } = Bun.spawnSync([process.execPath, '-e', program], {
    env: { ...process.env, KILLED_HOME: home.path },
  })
  const grownMiB = Number(stdout.toString())
  console.log(`half a GiB through a sink with 16 MiB under way: ${grownMiB.toFixed(0)} MiB more`)
  expect(grownMiB).toBeLessThan(160)
})

// Method: peers who lie now and then, and a fetcher who follows the verdicts; contents are kept small by few large blobs.
test('put() brings every catalog home from honest peers and liars, and blames liars only', async () => {
  const anySize = fc.oneof(
    { weight: 6, arbitrary: fc.nat({ max: 40_000 }) },
    { weight: 2, arbitrary: fc.integer({ min: PIECE_BYTES - 2, max: 3 * PIECE_BYTES }) },
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(anySize, { minLength: 1, maxLength: 12 }),
      fc.infiniteStream(fc.nat({ max: 999 })),
      fc.constantFrom('none', 'honest', 'lying'),
      async (sizes, chance, table) => {
        const made = madePieces(sizes.map((size, index) => madeContent(size, index)))
        await using it = given(made)
        const draw = (below: number) => chance.next().value % below
        const banned = new Set<string>()
        const peers = () => ['honest', 'also', 'liar', 'rogue'].filter((name) => !banned.has(name))
        const wanted = new Set(made.contents.keys())
        const alone = new Map<number, string>()
        if (table !== 'none') {
          const lies = made.contents.map((content) =>
            table === 'lying' && draw(3) === 0 ? madeContent(9, 9) : content,
          )
          await it.sink.setTable(tableOf(lies), table === 'lying' ? 'liar' : 'honest', never)
        }
        for (let turn = 0; wanted.size > 0; turn++) {
          expect(turn).toBeLessThan(100 * made.contents.length)
          const piece = [...wanted][draw(wanted.size)] ?? 0
          const choice = peers()
          const before = alone.get(piece)
          const source =
            before !== undefined && !banned.has(before) ? before : (choice[draw(choice.length)] ?? 'honest')
          const right = contentOf(made, piece)
          const lies = (source === 'liar' || source === 'rogue') && right.byteLength > 0 && draw(2) === 0
          const content = lies ? altered(right, draw(1000)) : right
          const receipt = await it.sink.put(piece, draw(2) === 0 ? raw(content) : zstd(content), source, never)
          for (const liar of receipt.liars.keys()) banned.add(liar)
          if (receipt.verdict.verdict === 'wrong') banned.add(source)
          else if (receipt.verdict.verdict === 'blob-wrong') {
            const [from] = peers().sort(() => draw(3) - 1)
            for (const again of receipt.verdict.pieces) {
              wanted.add(again)
              alone.set(again, from ?? 'honest')
            }
          } else wanted.delete(piece)
        }
        expect(wrongOrMissing(it.library, made)).toEqual([])
        expect(banned.has('honest') || banned.has('also')).toBe(false)
        for (const piece of made.contents.keys()) expect(it.sink.placeOf(piece)).toEqual({ kind: 'library' })
        expect(unfinishedIn(it.library)).toEqual([])
      },
    ),
    { numRuns: runs(15) },
  )
}, 600_000)
