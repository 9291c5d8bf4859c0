/** A library of its own that a test fetches one environment into, with the Workers that a real fetch has. */
import { never } from '../../src/base/clock.ts'
import type { LocalBlobs } from '../../src/blob/local.ts'
import type { BlobRef } from '../../src/blob/source.ts'
import { piecesOf } from '../../src/catalog/pieces.ts'
import { Library } from '../../src/store/library.ts'
import { LibraryPieceSink } from '../../src/store/piece-sink.ts'
import { fetchBlobs } from '../../src/substituters/fetch-blobs.ts'
import type { Substituter } from '../../src/substituters/substituter.ts'
import type { VerifiedCatalog } from '../../src/trust/verify-catalog.ts'
import { rootsIn, TemporaryDirectory } from './golden.ts'

/** What is fetched, and where its blobs are known from. */
export interface FetchedEnvironment {
  readonly refs: readonly BlobRef[]
  readonly verified: VerifiedCatalog
  readonly blobs: LocalBlobs
}

export class FetchingLibrary implements AsyncDisposable {
  readonly #folder = new TemporaryDirectory()
  readonly #library = new Library(rootsIn(this.#folder.path))
  readonly #sink: LibraryPieceSink

  constructor(private readonly environment: FetchedEnvironment) {
    this.#sink = new LibraryPieceSink(this.#library, piecesOf(environment.verified.catalog))
  }

  /** Put these blobs here, as if an earlier fetch had. */
  async add(refs: readonly BlobRef[]): Promise<void> {
    for (const ref of refs) {
      const bytes = this.environment.blobs.find(ref.digest)?.whole(ref.sizeBytes) ?? new Uint8Array()
      await this.#library.put(ref, { source: 'the test', encoding: 'identity', bytes: once(bytes) }, never)
    }
  }

  /** Put a range of a large blob here, as if a peer had sent it. @param piece its number @returns whether it was one */
  async addRange(piece: number, content: Uint8Array, from: string): Promise<boolean> {
    const shape = this.#sink.pieces.pieces[piece]
    if (shape?.kind !== 'range') return false
    await this.#sink.put(piece, { encoding: 'identity', bytes: Uint8Array.from(content) }, from, never)
    return true
  }

  /** @param refs what is wanted; those that are here already are not asked for */
  async fetch(source: Substituter, refs: readonly BlobRef[] = this.environment.refs): Promise<void> {
    const lacking = (some: readonly BlobRef[]) => this.#library.missingOf(some, never)
    const options = {
      sink: this.#sink,
      pieces: piecesOf(this.environment.verified.catalog),
      lacking,
      isHere: (piece: number) => this.#sink.has(piece),
      onBlobs: () => {},
      onBytes: () => {},
    }
    await fetchBlobs(source, this.environment.verified, await lacking(refs), options, never)
  }

  /** Blobs of the environment that are here. */
  get held(): readonly BlobRef[] {
    return this.environment.refs.filter(({ digest }) => this.#library.holds(digest))
  }

  /** Those of them that are wrong. */
  async wrong(): Promise<BlobRef[]> {
    const wrong: BlobRef[] = []
    for (const ref of this.held) if ((await this.#library.verify(ref, never)) !== undefined) wrong.push(ref)
    return wrong
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sink[Symbol.asyncDispose]()
    this.#folder[Symbol.dispose]()
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
