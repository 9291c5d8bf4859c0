/**
 * What a substituter delivers, on its way to where it comes to rest: read one after the other, written several at once.
 *
 * Bytes are decoded, proved and written by the sink; here it is bounded how many are under way, and what proves wrong
 * becomes the error that names its source.
 */
import { BLOB_WHOLE_BYTES_MAX } from '../base/limits.ts'
import { RECEIVE_BYTES_MAX } from '../base/substituter-limits.ts'
import { gzipBytesMax } from '../blob/gzip.ts'
import type { PieceOnWire, PieceSink } from '../blob/pieces.ts'
import type { BlobRef, BlobStore, BlobStream } from '../blob/source.ts'
import { collect } from './collect.ts'
import type { Delivery } from './substituter.ts'

export interface ReceiveOptions {
  /** Who delivers, as in every message. */
  readonly source: string
  readonly sink: PieceSink & { readonly store: BlobStore }
  /** Pieces that are wanted; what is read along between them is left aside. */
  readonly wanted: ReadonlySet<number>
  /** Blobs have come to rest, and the bytes of their content. */
  readonly onBlobs: (blobs: number, bytes: number) => void
  /** Bytes as they came. */
  readonly onBytes: (bytes: number) => void
  /** The piece table that the source tells; undefined where it is of no use. */
  readonly onTable?: ((table: Uint8Array) => Promise<void>) | undefined
}

export interface Received {
  /** False where a large blob has to come again, since parts of it that others had sent before proved wrong. */
  readonly whole: boolean
  /** Numbers of the pieces that have come to rest. */
  readonly rested: ReadonlySet<number>
}

/** @throws {HoloError} blame `source`: it fails, or what it sent is wrong; blame `host`; `signal.reason` */
export async function receive(
  deliveries: AsyncIterable<Delivery>,
  { source, sink, wanted, onBlobs, onBytes, onTable }: ReceiveOptions,
  signal: AbortSignal,
): Promise<Received> {
  let whole = true
  const rested = new Set<number>()
  const underWay = new Set<Promise<void>>()
  let bytesUnderWay = 0
  let failure: { readonly thrown: unknown } | undefined
  const settle = (): void => {
    if (failure !== undefined) throw failure.thrown
  }
  /** Let it go on beside what comes next, within the bound. */
  const start = async (bytes: number, work: () => Promise<void>): Promise<void> => {
    bytesUnderWay += bytes
    const working = work()
      .catch((thrown: unknown) => {
        failure ??= { thrown }
      })
      .finally(() => {
        bytesUnderWay -= bytes
        underWay.delete(working)
      })
    underWay.add(working)
    while (bytesUnderWay > RECEIVE_BYTES_MAX) await Promise.race(underWay)
  }
  const putPiece = async (piece: number, wire: PieceOnWire): Promise<void> => {
    const { verdict, liars, blobs, blobBytes } = await sink.put(piece, wire, source, signal)
    // A blob that several have sent parts of is nobody's fault yet.
    if (verdict.verdict === 'wrong' || (verdict.verdict === 'blob-wrong' && liars.has(source))) throw verdict.error
    if (verdict.verdict === 'blob-wrong') whole = false
    if (verdict.verdict === 'stored') rested.add(piece)
    if (blobs > 0) onBlobs(blobs, blobBytes)
  }
  const putBlob = async (ref: BlobRef, stream: BlobStream): Promise<void> => {
    await sink.store.put(ref, stream, signal)
    onBlobs(1, ref.sizeBytes)
  }
  try {
    for await (const delivery of deliveries) {
      signal.throwIfAborted()
      settle()
      if (delivery.kind === 'table') {
        await onTable?.(delivery.table)
        continue
      }
      if (delivery.kind === 'piece') {
        const { piece, wire } = delivery
        onBytes(wire.bytes.byteLength)
        if (wanted.has(piece)) await start(wire.bytes.byteLength, () => putPiece(piece, wire))
        continue
      }
      const { ref, stream } = delivery
      const bytes = counted(stream.bytes, onBytes)
      if (ref.sizeBytes > BLOB_WHOLE_BYTES_MAX) await putBlob(ref, { ...stream, bytes })
      else {
        const whole = await collect(bytes, gzipBytesMax(ref.sizeBytes), `Blob ${ref.digest} of ${source}`)
        await start(whole.byteLength, () => putBlob(ref, { ...stream, bytes: once(whole) }))
      }
    }
  } finally {
    // Nobody puts after we have left: the sink may end then.
    await Promise.all(underWay)
  }
  settle()
  return { whole, rested }
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
