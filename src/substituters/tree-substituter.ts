/**
 * A static tree as a source of environments, wherever it lies (docs/substituters.md).
 *
 * Few blobs are asked for one by one; many come out of the catalog's pack, by ranges. Nothing here is verified: digests
 * are compared where bytes become a blob.
 */
import { CATALOG_STORED_BYTES_MAX } from '../base/limits.ts'
import { CACHE_INFO_BYTES_MAX, PACK_BLOBS_MIN, SIGNATURES_BYTES_MAX } from '../base/substituter-limits.ts'
import type { Digest } from '../blob/digest.ts'
import type { BlobRef, BlobStream } from '../blob/source.ts'
import type { CatalogName } from '../catalog/tree.ts'
import {
  CACHE_INFO_NAME,
  cacheInfoVersion,
  TREE_VERSION,
  type TreeName,
  treeBlobName,
  treeCatalogName,
  treeSignaturesName,
} from '../catalog/tree-names.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import { collect } from './collect.ts'
import { readPack } from './pack-reader.ts'
import { SourceFailedError } from './source-failed-error.ts'
import type { Delivery, OfferedCatalog, Substituter, Wanted } from './substituter.ts'
import type { TreeReader } from './tree-store.ts'
import { unzstd } from './unzstd.ts'

export class TreeSubstituter implements Substituter {
  readonly name: string
  #versionChecked = false

  constructor(
    private readonly tree: TreeReader,
    /** Up to so many blobs are asked for one by one; 0 where they lie in packs only. */
    private readonly singleBlobsMax = PACK_BLOBS_MIN,
  ) {
    this.name = tree.name
  }

  async find(name: CatalogName, signal: AbortSignal): Promise<OfferedCatalog | undefined> {
    const [stored, signatures] = await Promise.all([
      this.#whole(treeCatalogName(name), CATALOG_STORED_BYTES_MAX, signal),
      this.#whole(treeSignaturesName(name), SIGNATURES_BYTES_MAX, signal),
      this.#checkVersion(signal),
    ])
    return stored === undefined ? undefined : { stored, signatures }
  }

  async has(digests: readonly Digest[], signal: AbortSignal): Promise<ReadonlySet<Digest>> {
    const held = await this.tree.has(digests.map(treeBlobName), signal)
    return new Set(digests.filter((digest) => held.has(treeBlobName(digest))))
  }

  async get(ref: BlobRef, signal: AbortSignal): Promise<BlobStream | undefined> {
    const object = await this.tree.read(treeBlobName(ref.digest), { encoded: true }, signal)
    if (object === undefined) return undefined
    const source = this.name
    if (object.encoding !== 'zstd') return { source, encoding: object.encoding, bytes: object.bytes }
    return { source, encoding: 'identity', bytes: unzstd(object.bytes, ref, source) }
  }

  async deliver(
    catalog: VerifiedCatalog,
    wanted: Wanted,
    signal: AbortSignal,
  ): Promise<AsyncGenerator<Delivery> | undefined> {
    return wanted.blobs.length <= this.singleBlobsMax ? undefined : readPack(this.tree, catalog, wanted, signal)
  }

  async #whole(name: TreeName, bytesMax: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const object = await this.tree.read(name, {}, signal)
    return object === undefined ? undefined : collect(object.bytes, bytesMax, `${name} of ${this.name}`)
  }

  /** A tree without that file is taken for one of ours. */
  async #checkVersion(signal: AbortSignal): Promise<void> {
    if (this.#versionChecked) return
    const bytes = await this.#whole(CACHE_INFO_NAME, CACHE_INFO_BYTES_MAX, signal)
    const version = bytes === undefined ? TREE_VERSION : cacheInfoVersion(Buffer.from(bytes).toString('latin1'))
    if (version !== TREE_VERSION) {
      throw new SourceFailedError(
        version === undefined
          ? `${CACHE_INFO_NAME} of ${this.name} tells no version, so it is no tree of holo-peer`
          : `${this.name} holds a tree of version ${version}, and this holo-peer reads version ${TREE_VERSION}`,
        { code: 'source-version', hint: 'correct the address of that entry, or update holo-peer' },
      )
    }
    this.#versionChecked = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tree[Symbol.asyncDispose]()
  }
}
