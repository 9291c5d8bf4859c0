/** In-memory twins of the blob doors: real hashing, no disk, no network. */
import { HoloError } from '../../src/base/errors.ts'
import { type Digest, sha256Of } from '../../src/blob/digest.ts'
import type { BlobRef, BlobSource, BlobStore, BlobStream } from '../../src/blob/source.ts'

export interface MemoryBlob {
  readonly ref: BlobRef
  readonly bytes: Uint8Array
}

export function blobOf(text: string): MemoryBlob {
  const bytes = new TextEncoder().encode(text)
  return { ref: { digest: sha256Of(bytes), sizeBytes: bytes.byteLength }, bytes }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** A source that answers each listed digest with the bytes beside it, right or wrong; counts what it was asked. */
export class MemorySource implements BlobSource {
  readonly asked: Digest[] = []
  readonly #held: ReadonlyMap<Digest, Uint8Array>

  constructor(
    readonly name: string,
    held: readonly (readonly [Digest, Uint8Array])[],
  ) {
    this.#held = new Map(held)
  }

  async has(digests: readonly Digest[]): Promise<ReadonlySet<Digest>> {
    return new Set(digests.filter((digest) => this.#held.has(digest)))
  }

  async get(ref: BlobRef, signal: AbortSignal): Promise<BlobStream | undefined> {
    signal.throwIfAborted()
    this.asked.push(ref.digest)
    const bytes = this.#held.get(ref.digest)
    return bytes === undefined ? undefined : { source: this.name, encoding: 'identity', bytes: once(bytes) }
  }
}

export class MemoryStore implements BlobStore {
  readonly blobs = new Map<Digest, Uint8Array>()

  async has(digest: Digest): Promise<boolean> {
    return this.blobs.has(digest)
  }

  async put(ref: BlobRef, stream: BlobStream, signal: AbortSignal): Promise<void> {
    const chunks: Uint8Array[] = []
    for await (const chunk of stream.bytes) {
      signal.throwIfAborted()
      chunks.push(chunk)
    }
    const bytes = Buffer.concat(chunks)
    if (sha256Of(bytes) !== ref.digest)
      throw new HoloError(`${stream.source} sent wrong bytes for blob ${ref.digest}`, {
        code: 'blob-corrupt',
        blame: 'source',
      })
    this.blobs.set(ref.digest, bytes)
  }
}
