/**
 * A member that holds other catalogs, as a source of the blobs that it shares with this one.
 *
 * It is asked once which of them it has, in one question a thousand, and then only for those.
 */
import type { Digest } from '../blob/digest.ts'
import type { BlobRef, BlobSource, BlobStream } from '../blob/source.ts'

export class AskedSource implements BlobSource {
  #held: Promise<ReadonlySet<Digest>> | undefined

  /** @param digests all that will be asked for */
  constructor(
    private readonly source: BlobSource,
    private readonly digests: readonly Digest[],
  ) {}

  get name(): string {
    return this.source.name
  }

  has(digests: readonly Digest[], signal: AbortSignal): Promise<ReadonlySet<Digest>> {
    return this.source.has(digests, signal)
  }

  async get(ref: BlobRef, signal: AbortSignal): Promise<BlobStream | undefined> {
    this.#held ??= this.source.has(this.digests, signal)
    const held = await this.#held
    return held.has(ref.digest) ? this.source.get(ref, signal) : undefined
  }
}
