/**
 * What a substituter delivers, put into a store: blobs as they come, pieces taken apart into theirs.
 *
 * Bytes become a blob only in the store, which compares digests; here they are counted, cut, and held for no longer than
 * one piece. A large blob is written while its pieces come.
 */
import { HoloError } from '../base/errors.ts'
import type { Digest } from '../blob/digest.ts'
import { decodePiece, PieceError } from '../blob/piece-wire.ts'
import type { PieceOnWire } from '../blob/pieces.ts'
import type { BlobRef, BlobStore } from '../blob/source.ts'
import type { Pieces } from '../catalog/pieces.ts'
import { ChunkQueue } from './chunk-queue.ts'
import type { Delivery } from './substituter.ts'

export interface ReceiveOptions {
  /** Who delivers, as in every message. */
  readonly source: string
  readonly store: BlobStore
  /** Of the catalog that is delivered. */
  readonly pieces: Pieces
  /** What is still wanted; what has come to rest is taken out. */
  readonly wanted: Map<Digest, BlobRef>
  /** Called for each blob of `wanted` that has come to rest. */
  readonly onBlob: (ref: BlobRef) => void
  /** Called for bytes as they came. */
  readonly onBytes: (bytes: number) => void
}

/**
 * @throws {HoloError} blame `source`: it fails, or what it sent is wrong; blame `host`; `signal.reason`
 */
export async function receive(
  deliveries: AsyncIterable<Delivery>,
  options: ReceiveOptions,
  signal: AbortSignal,
): Promise<void> {
  const large = new LargeBlobs(options, signal)
  try {
    for await (const delivery of deliveries) {
      signal.throwIfAborted()
      if (delivery.kind === 'blob') {
        const { ref, stream } = delivery
        const bytes = counted(stream.bytes, options.onBytes)
        await put(ref, { ...stream, bytes }, options, signal)
      } else {
        options.onBytes(delivery.wire.bytes.byteLength)
        await takeApart(delivery.piece, delivery.wire, options, large, signal)
      }
    }
    await large.settled()
  } catch (error) {
    await large.abandon(error)
    throw error
  }
}

async function takeApart(
  number: number,
  wire: PieceOnWire,
  options: ReceiveOptions,
  large: LargeBlobs,
  signal: AbortSignal,
): Promise<void> {
  const { pieces, source, wanted } = options
  const piece = pieces.pieces[number]
  if (piece === undefined) return
  const refOf = (blob: number) => pieces.blobs[blob]
  const refs = piece.kind === 'group' ? piece.blobs.map(refOf) : [refOf(piece.blob)]
  if (refs.every((ref) => ref === undefined || !wanted.has(ref.digest))) return
  const content = decoded(wire, piece.bytes, number, source)
  if (piece.kind === 'range') {
    const [ref] = refs
    if (ref !== undefined) await large.add(ref, piece.offset, content)
    return
  }
  let at = 0
  for (const ref of refs) {
    if (ref === undefined) continue
    const bytes = content.subarray(at, at + ref.sizeBytes)
    at += ref.sizeBytes
    if (wanted.has(ref.digest)) await put(ref, { source, encoding: 'identity', bytes: once(bytes) }, options, signal)
  }
}

function decoded(wire: PieceOnWire, bytes: number, piece: number, source: string): Uint8Array {
  try {
    return decodePiece(wire, bytes)
  } catch (error) {
    if (!(error instanceof PieceError)) throw error
    throw new HoloError(`${source} sent a piece (${piece}) that ${error.message}`, {
      code: 'blob-corrupt',
      blame: 'source',
      hint: 'push that environment there again, from a machine whose library is sound',
    })
  }
}

async function put(
  ref: BlobRef,
  stream: Parameters<BlobStore['put']>[1],
  { store, wanted, onBlob }: ReceiveOptions,
  signal: AbortSignal,
): Promise<void> {
  await store.put(ref, stream, signal)
  if (wanted.delete(ref.digest)) onBlob(ref)
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

async function* counted(
  bytes: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    onBytes(chunk.byteLength)
    yield chunk
  }
}

/** Blobs of which only some ranges have come: each is written by a put that waits for the next one. */
class LargeBlobs {
  readonly #open = new Map<Digest, { readonly chunks: ChunkQueue; readonly put: Promise<void>; at: number }>()

  constructor(
    private readonly options: ReceiveOptions,
    private readonly signal: AbortSignal,
  ) {}

  /** Waits until the range is written, or the put has failed. */
  async add(ref: BlobRef, offset: number, content: Uint8Array): Promise<void> {
    let open = this.#open.get(ref.digest)
    if (open === undefined) {
      // Read along, in the middle of a blob whose beginning was not asked for.
      if (offset !== 0) return
      const chunks = new ChunkQueue()
      const { source } = this.options
      const written = put(ref, { source, encoding: 'identity', bytes: chunks.read() }, this.options, this.signal)
      // Seen by whoever adds next, or at the end.
      written.catch(() => {})
      open = { chunks, put: written, at: 0 }
      this.#open.set(ref.digest, open)
    }
    if (offset !== open.at) throw new TypeError('the ranges of a blob came out of order')
    open.at += content.byteLength
    // A put that ends early, because the blob is here by now or because it fails, takes no more.
    await Promise.race([open.chunks.add(content), open.put])
    if (open.at < ref.sizeBytes) return
    open.chunks.end()
    this.#open.delete(ref.digest)
    await open.put
  }

  async settled(): Promise<void> {
    for (const { chunks } of this.#open.values()) chunks.end()
    await Promise.all([...this.#open.values()].map(({ put: written }) => written))
  }

  /** Nothing more comes: whatever is half written goes away. */
  async abandon(error: unknown): Promise<void> {
    for (const { chunks } of this.#open.values()) chunks.fail(error)
    await Promise.allSettled([...this.#open.values()].map(({ put: written }) => written))
  }
}
