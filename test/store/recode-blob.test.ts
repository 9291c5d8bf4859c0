import { describe, expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { never } from '../../src/base/clock.ts'
import { RECODE_WHOLE_BYTES_MAX } from '../../src/base/limits.ts'
import { sha256Of } from '../../src/blob/digest.ts'
import { beginsLikeGzip, type Compression, isGzip } from '../../src/blob/gzip.ts'
import { blobPath, libraryDirectory } from '../../src/catalog/layout.ts'
import { LibraryFiles } from '../../src/store/library-files.ts'
import { type Recoded, recodeBlob } from '../../src/store/recode-blob.ts'
import { rootsIn, TemporaryDirectory } from '../support/golden.ts'
import { runs } from '../support/runs.ts'

interface Given {
  readonly path: string
  recode(to: Compression, options?: { write?: boolean; signal?: AbortSignal }): Promise<Recoded>
  /** Every file of the library, with its inode. */
  files(): string[]
}

/** A library with one blob, `stored` as the file of `content`. */
function given(home: TemporaryDirectory, content: Uint8Array, stored: Uint8Array, shared = false): Given {
  const roots = { ...rootsIn(home.path), shared }
  const digest = sha256Of(content)
  const path = blobPath(roots, digest)
  fs.mkdirSync(dirname(path), { recursive: true })
  fs.writeFileSync(path, stored)
  const temporaries = libraryDirectory(roots)
  const place = { files: new LibraryFiles(shared), temporaries, path }
  return {
    path,
    recode: (to, { write = true, signal = never } = {}) => recodeBlob(place, digest, { to, write }, signal),
    files: () =>
      fs
        .readdirSync(temporaries, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ name, parentPath }) => `${name} ${fs.statSync(join(parentPath, name)).ino}`),
  }
}

function decoded(path: string): Buffer {
  const stored = fs.readFileSync(path)
  return isGzip(stored) ? gunzipSync(stored) : stored
}

const text = Buffer.from('import this\n'.repeat(400))
const gz = gzipSync(text)

describe('recodeBlob()', () => {
  test('keeps any content, in the wanted form unless that would be read wrongly', async () => {
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ maxLength: 60 }).map((tail) => new Uint8Array([0x1f, 0x8b, 8, ...tail])),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => new Uint8Array(gzipSync(bytes))),
    )
    const forms = fc.constantFrom<Compression>('raw', 'gzip')
    await fc.assert(
      fc.asyncProperty(content, forms, forms, async (bytes, from, to) => {
        using home = new TemporaryDirectory()
        const gzip = from === 'gzip' || isGzip(bytes)
        const stored = gzip ? gzipSync(bytes) : Buffer.from(bytes)
        const { recode, path, files } = given(home, bytes, stored)
        const tried = await recode(to, { write: false })
        expect(fs.readFileSync(path).equals(stored)).toBe(true)

        const done = await recode(to)

        expect(done).toMatchObject(tried)
        const already = gzip === (to === 'gzip')
        const keeps = to === 'raw' && beginsLikeGzip(bytes)
        const atRest = fs.readFileSync(path)
        expect(done).toMatchObject({
          outcome: already ? 'already' : keeps ? 'kept' : 'converted',
          bytesBefore: stored.byteLength,
          bytesAfter: atRest.byteLength,
        })
        expect(new Uint8Array(decoded(path))).toEqual(bytes)
        expect(isGzip(atRest)).toBe(already ? gzip : keeps || to === 'gzip')
        expect(files()).toHaveLength(1)
        expect(await recode(to)).toMatchObject({ outcome: done.outcome === 'kept' ? 'kept' : 'already' })
      }),
      { numRuns: runs(150) },
    )
  })

  // Method: content over the bound of what is turned in memory, and a file of several streams, which tells no size.
  test.each([
    ['a large blob', Buffer.concat([randomBytes(100_000), Buffer.alloc(RECODE_WHOLE_BYTES_MAX, 'large ')]), 1],
    ['several gzip streams in a row', randomBytes(90_000), 3],
  ])('turns %s there and back', async (_name, content, members) => {
    using home = new TemporaryDirectory()
    const part = Math.ceil(content.byteLength / members)
    const parts = Array.from({ length: members }, (_part, at) => content.subarray(at * part, (at + 1) * part))
    const { recode, path, files } = given(home, content, Buffer.concat(parts.map((each) => gzipSync(each))))
    for (const to of ['raw', 'gzip'] as const) {
      const tried = await recode(to, { write: false })
      expect(tried).toMatchObject({ outcome: 'converted', bytesBefore: fs.statSync(path).size })
      expect(await recode(to)).toMatchObject(tried)
      expect(tried).toMatchObject({ bytesAfter: fs.statSync(path).size })
      expect(decoded(path).equals(content)).toBe(true)
      expect(isGzip(fs.readFileSync(path))).toBe(to === 'gzip')
      expect(await recode(to)).toMatchObject({ outcome: 'already' })
    }
    expect(files()).toHaveLength(1)
  })

  const damaged: [what: string, stored: Uint8Array][] = [
    ['other content as gzip', gzipSync(Buffer.from('other'))],
    ['other content, raw', Buffer.from('other')],
    ['a torn gzip stream', gz.subarray(0, -9)],
    ['only a header', gz.subarray(0, 10)],
    ['nothing', Buffer.alloc(0)],
    ['more than the content', gzipSync(Buffer.concat([text, text]))],
    ['a gzip bomb', Buffer.concat(Array.from({ length: 20 }, () => gzipSync(Buffer.alloc(16 << 20))))],
  ]
  test.each(damaged)('finds %s, and writes nothing', async (_what, stored) => {
    for (const to of ['raw', 'gzip'] as const) {
      using home = new TemporaryDirectory()
      const { recode, path, files } = given(home, text, stored)
      const before = files()
      expect(await recode(to)).toMatchObject({ outcome: 'corrupt', bytesBefore: stored.byteLength })
      expect(files()).toEqual(before)
      expect(fs.readFileSync(path).equals(stored)).toBe(true)
    }
  })

  test('says absent where there is no blob, or no file', async () => {
    using home = new TemporaryDirectory()
    const { recode, path } = given(home, text, gz)
    fs.rmSync(path)
    expect(await recode('raw')).toEqual({ outcome: 'absent' })
    fs.mkdirSync(path)
    expect(await recode('raw')).toEqual({ outcome: 'absent' })
  })

  // Goal: a space that is hardlinked to the blob keeps its file, in either case.
  test('gives a blob with hard links a new inode, and leaves it alone where nothing changes', async () => {
    using home = new TemporaryDirectory()
    const { recode, path } = given(home, text, text)
    const link = join(home.path, 'linked')
    fs.linkSync(path, link)
    const { ino } = fs.statSync(path)
    expect(await recode('raw')).toMatchObject({ outcome: 'already' })
    expect(fs.statSync(path)).toMatchObject({ ino, nlink: 2 })
    expect(await recode('gzip')).toMatchObject({ outcome: 'converted' })
    expect(fs.statSync(path)).toMatchObject({ nlink: 1 })
    expect(fs.statSync(link)).toMatchObject({ ino, nlink: 1 })
    expect(fs.readFileSync(link).equals(text)).toBe(true)
  })

  test('ends with the reason of its signal, in the middle of a large blob too, and leaves nothing', async () => {
    using home = new TemporaryDirectory()
    const content = Buffer.alloc(RECODE_WHOLE_BYTES_MAX + 1)
    const { recode, files } = given(home, content, gzipSync(content))
    const before = files()
    const stop = new AbortController()
    const reason = new Error('called off')
    const under = recode('raw', { signal: stop.signal })
    setImmediate(() => stop.abort(reason))
    expect(await under.catch((error: unknown) => error)).toBe(reason)
    expect(files()).toEqual(before)
    expect(await recode('raw', { signal: stop.signal }).catch((error: unknown) => error)).toBe(reason)
  })

  test('gives the file the mode of a library, private or shared', async () => {
    for (const [shared, mode] of [
      [false, 0o644],
      [true, 0o666],
    ] as const) {
      using home = new TemporaryDirectory()
      const { recode, path } = given(home, text, gz, shared)
      fs.chmodSync(path, 0o600)
      await recode('raw')
      expect(fs.statSync(path).mode & 0o777).toBe(mode)
    }
  })
})
