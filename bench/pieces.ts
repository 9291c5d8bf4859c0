/**
 * `bun bench/pieces.ts [ROUNDS]`: how fast pieces come to rest and are served, and what compressing them costs.
 *
 * The golden environment v1 goes into empty libraries, piece by piece in their order, raw and as zstd frames: through
 * a sink with one Worker and with two, and by the same code on this thread, one after the other; round by round, so
 * that all meet the same machine. Then they are served, from gzip blobs as rcc records them and from raw ones. CPU is
 * that of the whole process. `TMPDIR` decides on which file system.
 */
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { never } from '../src/base/clock.ts'
import { mapBounded } from '../src/base/concurrency.ts'
import { PIECE_BYTES } from '../src/base/limits.ts'
import { sha256Of } from '../src/blob/digest.ts'
import { beginsLikeGzip, gzipWhole } from '../src/blob/gzip.ts'
import type { PieceOnWire, PiecePreference } from '../src/blob/pieces.ts'
import { unzstdExactly, zstdFrame } from '../src/blob/zstd.ts'
import { blobPath, libraryDirectory } from '../src/catalog/layout.ts'
import { piecesOf } from '../src/catalog/pieces.ts'
import { Library } from '../src/store/library.ts'
import { LibraryFiles } from '../src/store/library-files.ts'
import { NoteRecords } from '../src/store/note-records.ts'
import { packPieces } from '../src/store/packed-pieces.ts'
import { PieceIngest } from '../src/store/piece-ingest.ts'
import { LibraryPieceSink } from '../src/store/piece-sink.ts'
import { LibraryPieces } from '../src/store/served-pieces.ts'
import { environmentRoots, environmentVersion, rootsIn } from '../test/support/golden.ts'

const rounds = Number(process.argv[2] ?? 5)
/** As a fetch would: 16 MiB under way. */
const UNDER_WAY = 16
const LEVELS = [1, 3, 6, 9, 12]

const golden = new Library(environmentRoots())
const found = golden.catalog(environmentVersion(1).name)
if (found === undefined) throw new Error('the golden library has no v1')
const pieces = piecesOf(found.catalog)
const whole = pieces.blobs.map(({ digest, sizeBytes }) => golden.find(digest)?.whole(sizeBytes) ?? new Uint8Array(0))
const contents = pieces.pieces.map((piece) =>
  piece.kind === 'group'
    ? Buffer.concat(piece.blobs.map((blob) => whole[blob] ?? new Uint8Array(0)))
    : (whole[piece.blob]?.subarray(piece.offset, piece.offset + piece.bytes) ?? new Uint8Array(0)),
)
const rawBytes = contents.reduce((sum, content) => sum + content.byteLength, 0)

interface Run {
  readonly ms: number
  readonly cpuMs: number
}

function median(values: readonly number[]): number {
  return [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)] ?? Number.NaN
}

async function timed(work: () => Promise<void>): Promise<Run> {
  const before = process.cpuUsage()
  const startedMs = performance.now()
  await work()
  const { user, system } = process.cpuUsage(before)
  return { ms: performance.now() - startedMs, cpuMs: (user + system) / 1000 }
}

async function inLibrary(work: (library: Library) => Promise<Run>): Promise<Run> {
  const home = fs.mkdtempSync(join(tmpdir(), 'holo-pieces-'))
  try {
    const library = new Library(rootsIn(home))
    const run = await work(library)
    if ((await library.missingOf(pieces.blobs, never)).length > 0) throw new Error('blobs lack')
    return run
  } finally {
    fs.rmSync(home, { recursive: true })
  }
}

function sunk(wires: readonly PieceOnWire[], workers: number): Promise<Run> {
  return inLibrary(async (library) => {
    await using sink = new LibraryPieceSink(library, pieces, { workers })
    return await timed(async () => {
      await mapBounded(
        wires,
        UNDER_WAY,
        ({ encoding, bytes }, piece) => sink.put(piece, { encoding, bytes: new Uint8Array(bytes) }, 'bench', never),
        never,
      )
    })
  })
}

function sequential(wires: readonly PieceOnWire[]): Promise<Run> {
  return inLibrary(({ roots }) => {
    const library = { roots, compression: 'raw', files: new LibraryFiles(false), notes: new NoteRecords() } as const
    const places = { ...library, keepFrames: false }
    const ingest = new PieceIngest(places, packPieces(pieces))
    return timed(async () => {
      for (const [piece, { encoding, bytes }] of wires.entries()) {
        await ingest.put(piece, encoding, new Uint8Array(bytes), 'bench', never)
      }
    })
  })
}

console.log(
  `${pieces.blobs.length} blobs in ${contents.length} pieces, ${(rawBytes / 1e6).toFixed(0)} MB, medians of ${rounds}`,
)
console.log('level   MB   of raw   compress ms/piece   decode ms/piece')
const frames = new Map<number, Uint8Array[]>()
for (const level of LEVELS) {
  const made: Uint8Array[] = []
  const compress = await timed(async () => {
    for (const content of contents) made.push(zstdFrame(content, level))
  })
  const decode = await timed(async () => {
    for (const [piece, frame] of made.entries()) unzstdExactly(frame, contents[piece]?.byteLength ?? 0)
  })
  frames.set(level, made)
  const bytes = made.reduce((sum, frame) => sum + frame.byteLength, 0)
  const each = ({ cpuMs }: Run) => ((cpuMs / rawBytes) * PIECE_BYTES).toFixed(2)
  const columns = [String(level), (bytes / 1e6).toFixed(1), (bytes / rawBytes).toFixed(3), each(compress), each(decode)]
  console.log(columns.map((column, index) => column.padStart([5, 6, 8, 19, 17][index] ?? 0)).join(' '))
}

const forms: Record<string, readonly PieceOnWire[]> = {
  raw: contents.map((bytes) => ({ encoding: 'identity', bytes })),
  zstd: (frames.get(6) ?? []).map((bytes) => ({ encoding: 'zstd', bytes })),
}
console.log('form   how            ms   MB/s   CPU ms   µs CPU/blob')
for (const [form, wires] of Object.entries(forms)) {
  const ways: Record<string, () => Promise<Run>> = {
    'this thread': () => sequential(wires),
    '1 Worker': () => sunk(wires, 1),
    '2 Workers': () => sunk(wires, 2),
  }
  const all = new Map<string, Run[]>(Object.keys(ways).map((way) => [way, []]))
  for (let round = 0; round < rounds; round++) {
    for (const [way, run] of Object.entries(ways)) all.get(way)?.push(await run())
  }
  for (const [way, measured] of all) {
    const ms = median(measured.map((run) => run.ms))
    const cpuMs = median(measured.map((run) => run.cpuMs))
    const rate = rawBytes / 1e3 / ms
    const columns = [
      ms.toFixed(0),
      rate.toFixed(0),
      cpuMs.toFixed(0),
      ((1000 * cpuMs) / pieces.blobs.length).toFixed(0),
    ]
    console.log(
      `${form.padEnd(6)} ${way.padEnd(11)} ${columns.map((column, index) => column.padStart([5, 6, 8, 13][index] ?? 0)).join(' ')}`,
    )
  }
}

/** Every piece once, from a library that nobody has looked at before, and again. */
async function served(form: 'raw' | 'gzip', preference: PiecePreference): Promise<[cold: Run, again: Run]> {
  const home = fs.mkdtempSync(join(tmpdir(), 'holo-pieces-'))
  try {
    const library = new Library(rootsIn(home), { compression: form })
    const files = new LibraryFiles(false)
    for (const [blob, { digest }] of pieces.blobs.entries()) {
      const content = whole[blob] ?? new Uint8Array(0)
      const atRest = form === 'gzip' || beginsLikeGzip(content) ? gzipWhole(content) : content
      files.write(blobPath(library.roots, digest), atRest, libraryDirectory(library.roots))
    }
    const name = sha256Of(Buffer.from('the catalog'))
    const catalogs = { has: () => true, load: () => found?.catalog }
    await using source = new LibraryPieces(library, catalogs)
    const all = () =>
      timed(async () => {
        await mapBounded(contents, UNDER_WAY, (_content, piece) => source.piece(name, piece, preference, never), never)
      })
    return [await all(), await all()]
  } finally {
    fs.rmSync(home, { recursive: true })
  }
}

console.log('served             first ms   MB/s   CPU ms   again ms   MB/s   CPU ms')
for (const form of ['gzip', 'raw'] as const) {
  for (const preference of ['fast', 'small'] as const) {
    const measured: [Run, Run][] = []
    for (let round = 0; round < rounds; round++) measured.push(await served(form, preference))
    const columns = [0, 1].flatMap((which) => {
      const ms = median(measured.map((pair) => pair[which]?.ms ?? Number.NaN))
      const cpuMs = median(measured.map((pair) => pair[which]?.cpuMs ?? Number.NaN))
      return [ms.toFixed(0), (rawBytes / 1e3 / ms).toFixed(0), cpuMs.toFixed(0)]
    })
    const padded = columns.map((column, index) => column.padStart([8, 6, 8, 10, 6, 8][index] ?? 0))
    console.log(`${`${form} blobs, ${preference}`.padEnd(18)} ${padded.join(' ')}`)
  }
}
