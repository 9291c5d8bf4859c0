/**
 * What a substituter delivers, on its way to where it comes to rest: blobs one after the other, pieces several at once.
 *
 * Bytes are decoded, proved and written by the sink; here it is bounded how many are under way, and what proves wrong
 * becomes the error that names its source.
 */
import { RECEIVE_BYTES_MAX } from '../base/substituter-limits.ts'
import type { PieceSink } from '../blob/pieces.ts'
import type { BlobStore } from '../blob/source.ts'
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
}

/** @throws {HoloError} blame `source`: it fails, or what it sent is wrong; blame `host`; `signal.reason` */
export async function receive(
  deliveries: AsyncIterable<Delivery>,
  { source, sink, wanted, onBlobs, onBytes }: ReceiveOptions,
  signal: AbortSignal,
): Promise<void> {
  const underWay = new Map<Promise<void>, number>()
  let bytesUnderWay = 0
  let failure: { readonly thrown: unknown } | undefined
  const put = async (piece: number, wire: Parameters<PieceSink['put']>[1]): Promise<void> => {
    try {
      const { verdict, blobs, blobBytes } = await sink.put(piece, wire, source, signal)
      if (verdict.verdict === 'wrong' || verdict.verdict === 'blob-wrong') throw verdict.error
      if (blobs > 0) onBlobs(blobs, blobBytes)
    } catch (thrown) {
      failure ??= { thrown }
    }
  }
  const settle = (): void => {
    if (failure !== undefined) throw failure.thrown
  }
  try {
    for await (const delivery of deliveries) {
      signal.throwIfAborted()
      settle()
      if (delivery.kind === 'blob') {
        const { ref, stream } = delivery
        await sink.store.put(ref, { ...stream, bytes: counted(stream.bytes, onBytes) }, signal)
        onBlobs(1, ref.sizeBytes)
        continue
      }
      const { piece, wire } = delivery
      const bytes = wire.bytes.byteLength
      onBytes(bytes)
      if (!wanted.has(piece)) continue
      bytesUnderWay += bytes
      const putting = put(piece, wire).finally(() => {
        bytesUnderWay -= bytes
        underWay.delete(putting)
      })
      underWay.set(putting, bytes)
      while (bytesUnderWay > RECEIVE_BYTES_MAX) await Promise.race(underWay.keys())
    }
  } finally {
    // Nobody puts after we have left: the sink may end then.
    await Promise.all(underWay.keys())
  }
  settle()
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
