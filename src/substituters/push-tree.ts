/** Pushing to a static tree: blobs one by one, then the pack, then the catalog, which makes it all visible. */
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { mapBounded } from '../base/concurrency.ts'
import { hostError } from '../base/errors.ts'
import { BLOB_WHOLE_BYTES_MAX, CATALOG_STORED_BYTES_MAX } from '../base/limits.ts'
import { SIGNATURES_BYTES_MAX, SUBSTITUTER_REQUESTS_MAX } from '../base/substituter-limits.ts'
import type { LocalBlobs } from '../blob/local.ts'
import type { BlobRef } from '../blob/source.ts'
import { decodePackIndex, packIndexBytes } from '../catalog/pack-index.ts'
import { type Pieces, piecesOf } from '../catalog/pieces.ts'
import {
  CACHE_INFO_NAME,
  encodeCacheInfo,
  type TreeName,
  treeBlobName,
  treeCatalogName,
  treePackName,
  treeSignaturesName,
} from '../catalog/tree-names.ts'
import { collect } from './collect.ts'
import { isUnusablePack } from './pack-reader.ts'
import { verifiedBlob, wholeBlob, writePack } from './pack-writer.ts'
import {
  type PushedEnvironment,
  type PushOptions,
  type PushOutcome,
  type PushTarget,
  signaturesToSend,
} from './push-environment.ts'
import type { TreeStore } from './tree-store.ts'

/** Questions asked at once about what is there. */
const QUESTIONS_AT_ONCE = 1_000

export class TreePushTarget implements PushTarget {
  readonly name: string

  constructor(private readonly tree: TreeStore) {
    this.name = tree.name
  }

  async push(environment: PushedEnvironment, options: PushOptions, signal: AbortSignal): Promise<PushOutcome> {
    const { name, stored } = environment
    const { dryRun } = options
    const pieces = piecesOf(environment.catalog)
    const missing = await this.#missing(pieces, signal)
    const blobBytes = missing.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    const packed = await this.#hasPack(environment, pieces, signal)
    const catalogSent = !(await this.#hasCatalog(environment, signal))
    const there = await this.#whole(treeSignaturesName(name), SIGNATURES_BYTES_MAX, signal)
    const signatures = signaturesToSend(environment, there)
    let packBytesSent: number | undefined = packed ? 0 : undefined
    if (!dryRun) {
      if (!(await this.tree.has([CACHE_INFO_NAME], signal)).has(CACHE_INFO_NAME)) {
        await this.tree.write(CACHE_INFO_NAME, { kind: 'bytes', bytes: Buffer.from(encodeCacheInfo()) }, signal)
      }
      const sentBytes = await this.#sendBlobs(missing, pieces.blobs.length, environment.blobs, options, signal)
      if (!packed) packBytesSent = await this.#sendPack(environment, pieces, sentBytes, options, signal)
      if (signatures !== undefined) {
        await this.tree.write(treeSignaturesName(name), { kind: 'bytes', bytes: signatures }, signal)
      }
      if (catalogSent) await this.tree.write(treeCatalogName(name), { kind: 'bytes', bytes: stored }, signal)
    }
    const blobs = pieces.blobs.length
    const sent = { blobsSent: missing.length, blobBytesSent: blobBytes, packBytesSent, catalogSent }
    return { catalog: name, blobs, ...sent, signaturesSent: signatures !== undefined }
  }

  async #missing({ blobs }: Pieces, signal: AbortSignal): Promise<BlobRef[]> {
    const missing: BlobRef[] = []
    for (let at = 0; at < blobs.length; at += QUESTIONS_AT_ONCE) {
      const some = blobs.slice(at, at + QUESTIONS_AT_ONCE)
      const held = await this.tree.has(
        some.map(({ digest }) => treeBlobName(digest)),
        signal,
      )
      missing.push(...some.filter(({ digest }) => !held.has(treeBlobName(digest))))
    }
    return missing
  }

  async #hasPack({ name, sha256 }: PushedEnvironment, { pieces }: Pieces, signal: AbortSignal): Promise<boolean> {
    const bytes = packIndexBytes(pieces.length)
    try {
      const object = await this.tree.read(treePackName(name), { range: { offset: 0, bytes } }, signal)
      if (object === undefined) return false
      const head = await collect(object.bytes, bytes, `${treePackName(name)} of ${this.name}`)
      decodePackIndex(
        head,
        sha256,
        pieces.map((piece) => piece.bytes),
      )
      return true
    } catch (error) {
      if (isUnusablePack(error)) return false
      throw error
    }
  }

  async #hasCatalog({ name, stored }: PushedEnvironment, signal: AbortSignal): Promise<boolean> {
    const there = await this.#whole(treeCatalogName(name), CATALOG_STORED_BYTES_MAX, signal)
    return there !== undefined && Buffer.compare(there, stored) === 0
  }

  async #whole(name: TreeName, bytesMax: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const object = await this.tree.read(name, {}, signal)
    return object === undefined ? undefined : collect(object.bytes, bytesMax, `${name} of ${this.name}`)
  }

  async #sendBlobs(
    missing: readonly BlobRef[],
    all: number,
    blobs: LocalBlobs,
    { onProgress, spool }: PushOptions,
    signal: AbortSignal,
  ): Promise<number> {
    let done = all - missing.length
    let sentBytes = 0
    const send = async (ref: BlobRef): Promise<void> => {
      if (ref.sizeBytes <= BLOB_WHOLE_BYTES_MAX) {
        await this.tree.write(treeBlobName(ref.digest), { kind: 'bytes', bytes: wholeBlob(ref, blobs) }, signal)
      } else await this.#sendLarge(ref, blobs, spool, signal)
      sentBytes += ref.sizeBytes
      onProgress(++done, all, sentBytes)
    }
    await mapBounded(missing, SUBSTITUTER_REQUESTS_MAX, send, signal)
    return sentBytes
  }

  /** By way of a copy that was verified to its end: the library's own file may be replaced meanwhile. */
  async #sendLarge(ref: BlobRef, blobs: LocalBlobs, spool: string, signal: AbortSignal): Promise<void> {
    const path = join(spool, ref.digest)
    try {
      {
        await using file = await open(path, 'w', 0o600)
        let offset = 0
        for await (const chunk of verifiedBlob(ref, blobs)) {
          await file.writev([chunk], offset)
          offset += chunk.byteLength
        }
      }
      await this.tree.write(treeBlobName(ref.digest), { kind: 'file', path, sizeBytes: ref.sizeBytes }, signal)
    } catch (error) {
      signal.throwIfAborted()
      throw hostError(`copy the blob ${ref.digest} to ${path}`, error)
    } finally {
      await rm(path, { force: true })
    }
  }

  async #sendPack(
    { name, sha256, blobs }: PushedEnvironment,
    pieces: Pieces,
    sentBytes: number,
    { spool, onProgress }: PushOptions,
    signal: AbortSignal,
  ): Promise<number> {
    const path = join(spool, 'pack')
    const all = pieces.blobs.length
    try {
      const pack = await writePack(path, sha256, pieces, blobs, () => onProgress(all, all, sentBytes), signal)
      await this.tree.write(treePackName(name), { kind: 'file', ...pack }, signal)
      return pack.sizeBytes
    } finally {
      await rm(path, { force: true })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tree[Symbol.asyncDispose]()
  }
}
