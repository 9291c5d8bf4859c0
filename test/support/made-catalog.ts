/** Catalogs made up by a test, with their blobs in memory: what rcc would record for a small tree. */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type Digest, sha256Of } from '../../src/blob/digest.ts'
import { GzipError, gunzipExactly, gunzipStream } from '../../src/blob/gzip.ts'
import type { BlobTree, LocalBlob, LocalBlobs } from '../../src/blob/local.ts'
import { compareBytewise } from '../../src/catalog/bytewise.ts'
import { blobTreeName } from '../../src/catalog/layout.ts'
import type { Catalog, CatalogDirectory, CatalogFile } from '../../src/catalog/tree.ts'
import { findBlobFile } from '../../src/store/blob-file.ts'
import { VerifiedNotes } from '../../src/store/verified-notes.ts'
import type { ListedEntry } from './golden.ts'

/** The stage of the golden data; 24 bytes that relocation replaces. */
export const STAGE = 'hdc4d952_493f813dad24d3t'

export type MadeEntry =
  | { readonly kind: 'file'; readonly text: string; readonly mode: number }
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'directory'; readonly entries: MadeTree }
export type MadeTree = Readonly<Record<string, MadeEntry>>

/** Blobs in memory, at rest as gzip. Like a library, it verifies nothing. */
export class MemoryBlobs implements LocalBlobs {
  readonly stored = new Map<Digest, Uint8Array>()

  add(content: Uint8Array): Digest {
    const digest = sha256Of(content)
    if (!this.stored.has(digest)) this.stored.set(digest, gzipSync(content))
    return digest
  }

  find(digest: Digest): LocalBlob | undefined {
    const stored = this.stored.get(digest)
    if (stored === undefined) return undefined
    async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
      yield bytes
    }
    return {
      path: '/dev/null',
      form: 'gzip',
      storedBytes: stored.byteLength,
      stamp: new Uint32Array(8),
      whole: (sizeBytes) => gunzipExactly(stored, sizeBytes),
      chunks: (bytesMax) => {
        if (stored.byteLength === 0) throw new GzipError('is empty')
        return gunzipStream(once(stored), bytesMax)
      },
    }
  }
}

/** Blobs as files, as a library has them: what the engine of system calls needs. */
export class DirectoryBlobs extends MemoryBlobs {
  readonly tree: BlobTree
  readonly notes: VerifiedNotes

  constructor(
    readonly directory: string,
    private readonly form: 'identity' | 'gzip',
  ) {
    super()
    fs.mkdirSync(directory, { recursive: true })
    this.tree = { directory, nameOf: blobTreeName }
    this.notes = new VerifiedNotes(join(dirname(directory), 'verified.notes'))
  }

  override add(content: Uint8Array): Digest {
    const digest = super.add(content)
    const path = this.pathOf(digest)
    if (fs.existsSync(path)) return digest
    fs.mkdirSync(dirname(path), { recursive: true })
    fs.writeFileSync(path, this.form === 'gzip' ? gzipSync(content) : content)
    return digest
  }

  pathOf(digest: Digest): string {
    return join(this.directory, blobTreeName(digest))
  }

  override find(digest: Digest): LocalBlob | undefined {
    return findBlobFile(this.pathOf(digest), digest)
  }
}

/** The catalog of `tree`, recorded for `base`; its blobs go into `blobs`. */
export function madeCatalog(tree: MadeTree, base: string, blobs: MemoryBlobs): Catalog {
  return {
    rcc: 'v18.18.1',
    identity: STAGE,
    path: `${base}/${STAGE}`,
    controller: '',
    space: '',
    platform: 'linux_amd64',
    blueprint: '0123456789abcdef',
    lifted: true,
    tree: madeDirectory('', tree, blobs),
  }
}

function madeDirectory(name: string, tree: MadeTree, blobs: MemoryBlobs): CatalogDirectory {
  const subdirs = new Map<string, CatalogDirectory>()
  const files = new Map<string, CatalogFile>()
  for (const [key, entry] of Object.entries(tree).sort(([left], [right]) => compareBytewise(left, right))) {
    if (entry.kind === 'directory') subdirs.set(key, madeDirectory(key, entry.entries, blobs))
    else files.set(key, madeFile(key, entry, blobs))
  }
  return { name, symlink: undefined, goMode: 2 ** 31 + 0o755, shadow: false, subdirs, files }
}

function madeFile(name: string, entry: Exclude<MadeEntry, { kind: 'directory' }>, blobs: MemoryBlobs): CatalogFile {
  const content = Buffer.from(entry.kind === 'file' ? entry.text : 'target')
  const rewrite: number[] = []
  for (let at = content.indexOf(STAGE); at >= 0; at = content.indexOf(STAGE, at + 1)) rewrite.push(at)
  const symlink = entry.kind === 'link' ? entry.target : undefined
  const goMode = entry.kind === 'file' ? entry.mode : 0o644
  return { name, symlink, sizeBytes: content.byteLength, goMode, digest: blobs.add(content), rewrite }
}

/** What a restore of `tree` into `spaceName` has to look like. */
export function madeListing(tree: MadeTree, spaceName: string, below = ''): ListedEntry[] {
  return Object.entries(tree).flatMap(([name, entry]): ListedEntry[] => {
    const path = below === '' ? name : `${below}/${name}`
    if (entry.kind === 'link') return [{ path, type: 'symlink', target: entry.target }]
    if (entry.kind === 'directory') {
      return [{ path, type: 'dir', mode: '0750' }, ...madeListing(entry.entries, spaceName, path)]
    }
    const content = Buffer.from(entry.text.replaceAll(STAGE, spaceName))
    const sha256 = createHash('sha256').update(content).digest('hex')
    const mode = entry.mode.toString(8).padStart(4, '0')
    return [{ path, type: 'file', mode, mtime: 1_610_000_000, size: content.byteLength, sha256 }]
  })
}
