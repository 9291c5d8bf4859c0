// Goal: a blob that is replaced by its other form while it is read is still read rightly, since `optimize` does that
// beside a daemon that serves and a restore that places.
import { describe, expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { never } from '../../src/base/clock.ts'
import { BLOB_WHOLE_BYTES_MAX } from '../../src/base/limits.ts'
import { sha256Of } from '../../src/blob/digest.ts'
import { faultOf, findBlobFile, openStoredBlob } from '../../src/store/blob-file.ts'
import { TemporaryDirectory } from '../support/golden.ts'
import { skipUnless } from '../support/skip.ts'

const onLinux = skipUnless(process.platform === 'linux', 'open files are listed by Linux only')

const contents: [name: string, content: Buffer][] = [
  ['small', randomBytes(1_000)],
  ['middling', randomBytes(200_000)],
  ['large', randomBytes(BLOB_WHOLE_BYTES_MAX + 300_000)],
]
const forms: [from: 'raw' | 'gzip', to: 'raw' | 'gzip'][] = [
  ['gzip', 'raw'],
  ['raw', 'gzip'],
]

/** A blob file in one form, and a way to replace it by the other as an ingest would. */
function blobFile(home: TemporaryDirectory, content: Buffer, form: 'raw' | 'gzip') {
  const path = join(home.path, sha256Of(content))
  const bytes = (of: 'raw' | 'gzip') => (of === 'raw' ? content : gzipSync(content, { level: 1 }))
  fs.writeFileSync(path, bytes(form))
  const replace = (by: 'raw' | 'gzip') => {
    fs.writeFileSync(`${path}.new`, bytes(by))
    fs.renameSync(`${path}.new`, path)
  }
  return { path, digest: sha256Of(content), stored: bytes(form), replace }
}

async function joined(chunks: AsyncIterable<Uint8Array> | undefined): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks ?? []) all.push(chunk)
  return Buffer.concat(all)
}

const openFiles = () => fs.readdirSync('/proc/self/fd').length

describe.each(contents)('a %s blob', (_name, content) => {
  test.each(forms)('findBlobFile() gives the content of a file that turns from %s to %s', async (from, to) => {
    using home = new TemporaryDirectory()
    const { path, digest, replace } = blobFile(home, content, from)
    const found = () => {
      const blob = findBlobFile(path, digest)
      if (blob === undefined) throw new Error('it is not there')
      return blob
    }
    const [whole, chunks, verified] = [found(), found(), found()]
    replace(to)
    expect(Buffer.from(whole.whole(content.byteLength)).equals(content)).toBe(true)
    expect((await joined(chunks.chunks(content.byteLength))).equals(content)).toBe(true)
    expect(await faultOf(verified, { digest, sizeBytes: content.byteLength }, never)).toBeUndefined()
  })

  test.each(forms)(
    'openStoredBlob() sends the file that it opened, though it turns from %s to %s',
    async (from, to) => {
      using home = new TemporaryDirectory()
      const { path, digest, stored, replace } = blobFile(home, content, from)
      using whole = openStoredBlob(path, digest)
      using chunks = openStoredBlob(path, digest)
      replace(to)
      for (const blob of [whole, chunks]) {
        expect(blob?.encoding).toBe(from === 'raw' ? 'identity' : 'gzip')
        expect(blob?.sizeBytes).toBe(stored.byteLength)
      }
      expect(stored.equals(whole?.whole() ?? Buffer.alloc(0))).toBe(true)
      expect(stored.equals(await joined(chunks?.bytes()))).toBe(true)
    },
  )

  onLinux('leaves no file open behind it', async () => {
    using home = new TemporaryDirectory()
    const { path, digest } = blobFile(home, content, 'gzip')
    const before = openFiles()
    for (let round = 0; round < 20; round++) {
      using stored = openStoredBlob(path, digest)
      for await (const _chunk of stored?.bytes() ?? []) break
      for await (const _chunk of findBlobFile(path, digest)?.chunks(content.byteLength) ?? []) break
      await joined(findBlobFile(path, digest)?.chunks(content.byteLength))
      findBlobFile(path, digest)?.whole(content.byteLength)
    }
    expect(openFiles()).toBe(before)
  })
})

test('findBlobFile() passes over what is no regular file', () => {
  using home = new TemporaryDirectory()
  const digest = sha256Of(Buffer.from('x'))
  fs.mkdirSync(join(home.path, 'directory'))
  fs.symlinkSync('directory', join(home.path, 'link'))
  for (const name of ['absent', 'directory', 'link', 'absent/below'])
    for (const find of [findBlobFile, openStoredBlob]) expect(find(join(home.path, name), digest)).toBeUndefined()
})

test('findBlobFile() reads no file into memory that is far longer than its content', () => {
  using home = new TemporaryDirectory()
  const path = join(home.path, 'long')
  fs.writeFileSync(path, gunzipSync(gzipSync(Buffer.alloc(3_000_000))))
  const blob = findBlobFile(path, sha256Of(Buffer.from('x')))
  expect(() => blob?.whole(1)).toThrow('has 3000000 bytes at rest, too many for 1 of content')
})
