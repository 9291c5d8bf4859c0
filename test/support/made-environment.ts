/** A made-up environment as a machine holds it: what can be pushed, found and fetched. */
import { gzipSync } from 'node:zlib'
import { sha256Of } from '../../src/blob/digest.ts'
import type { BlobRef } from '../../src/blob/source.ts'
import { encodeCatalog } from '../../src/catalog/encode-catalog.ts'
import { catalogName } from '../../src/catalog/names.ts'
import { distinctBlobs } from '../../src/catalog/walk.ts'
import type { PushedEnvironment } from '../../src/substituters/push-environment.ts'
import { ownWord } from '../../src/trust/publication.ts'
import { type VerifiedCatalog, verifyCatalog } from '../../src/trust/verify-catalog.ts'
import { type MadeTree, MemoryBlobs, madeCatalog } from './made-catalog.ts'

export interface MadeEnvironment extends PushedEnvironment {
  readonly blobs: MemoryBlobs
  readonly refs: readonly BlobRef[]
  readonly verified: VerifiedCatalog
}

/** @param files content by path, below one directory */
export function madeEnvironment(
  files: Readonly<Record<string, string>>,
  blueprint = '0123456789abcdef',
): MadeEnvironment {
  const blobs = new MemoryBlobs()
  const tree: MadeTree = Object.fromEntries(
    Object.entries(files).map(([name, text]) => [name, { kind: 'file' as const, text, mode: 0o644 }]),
  )
  const catalog = { ...madeCatalog(tree, '/tmp/made/holotree', blobs), blueprint }
  const stored = gzipSync(encodeCatalog(catalog))
  const name = catalogName(blueprint, 'linux_amd64')
  const verified = verifyCatalog({ name, stored, source: 'the test', announced: undefined, judge: ownWord })
  return {
    name,
    catalog,
    stored,
    sha256: verified.sha256,
    signatures: undefined,
    blobs,
    refs: distinctBlobs(catalog),
    verified,
  }
}

/** Text that hardly packs, the same for the same name. */
export function noise(name: string, bytes: number): string {
  let text = ''
  for (let round = 0; text.length < bytes; round++) text += sha256Of(Buffer.from(`${name} ${round}`))
  return text.slice(0, bytes)
}

/** Some of everything: many small blobs, some beyond a piece, an empty one, and one that begins like gzip. */
export function variousFiles(): Record<string, string> {
  const files: Record<string, string> = {
    empty: '',
    large: noise('large', 2_500_000),
    larger: noise('larger', 3_200_000),
  }
  for (let index = 0; index < 90; index++) files[`small-${index}`] = noise(`small ${index}`, 20 + index * 331)
  files['like-gzip'] = '\u001f\u008b\u0008 is how it begins'
  return files
}
