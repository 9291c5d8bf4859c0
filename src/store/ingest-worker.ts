/**
 * The Worker behind `IngestPool`: verifies and writes blobs away from the thread that runs the network.
 *
 * An entry of its own (base/worker-entry.ts). Pieces and batches are done one after the other, in the order in which
 * they came; large blobs of the path by digest beside them, chunk by chunk. It is told when it ends.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { HoloError } from '../base/errors.ts'
import { GzipError, gunzipExactly } from '../blob/gzip.ts'
import type { BlobRef, BlobStream } from '../blob/source.ts'
import { blobPath, libraryDirectory } from '../catalog/layout.ts'
import { ChunkQueue } from './chunk-queue.ts'
import { corrupt, ingestBlob, ingestContent } from './ingest.ts'
import type { BatchedBlob, BlobOutcome, IngestAnswer, IngestPlan, IngestRequest, OneBlob } from './ingest-messages.ts'
import { LibraryFiles } from './library-files.ts'
import { NoteRecords } from './note-records.ts'
import { PieceIngest } from './piece-ingest.ts'
import { sentError } from './sent-error.ts'
import { type LaneEnd, type LaneEnded, type LaneFailure, type LaneRoom, laneFailure } from './worker-lane.ts'

const { roots, compression } = workerData as IngestPlan
const files = new LibraryFiles(roots.shared)
const notes = new NoteRecords()
const temporaries = libraryDirectory(roots)
const end = new AbortController()
interface OpenBlob {
  readonly queue: ChunkQueue
  readonly stop: AbortController
  readonly done: Promise<void>
}
const open = new Map<number, OpenBlob>()
let catalog: Extract<IngestRequest, { kind: 'pieces' }> | undefined
let ingest: PieceIngest | undefined
/** The end of what was asked for so far. */
let last: Promise<void> = Promise.resolve()

function placeOf({ digest }: BlobRef) {
  return { files, notes, compression, temporaries, target: blobPath(roots, digest) }
}

function post(message: IngestAnswer | LaneFailure | LaneRoom | LaneEnded, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer)
}

async function inTurn(
  request: Extract<IngestRequest, { kind: 'pieces' | 'piece' | 'table' | 'batch' }>,
): Promise<void> {
  end.signal.throwIfAborted()
  switch (request.kind) {
    case 'pieces':
      catalog = request
      return
    case 'piece': {
      const { id, piece, encoding, bytes, source } = request
      const outcome = await pieces().put(piece, encoding, bytes, source, end.signal)
      const records = notes.take()
      const spare = outcome.frame === undefined ? bytes.buffer : undefined
      return post({ kind: 'piece', id, outcome, notes: records, spare }, [records.buffer, bytes.buffer])
    }
    case 'table':
      return post({ kind: 'table', id: request.id, proved: pieces().setTable(request.table) })
    case 'batch': {
      const outcomes = batchOutcomes(request.blobs, request.bytes)
      const records = notes.take()
      return post({ kind: 'batch', id: request.id, outcomes, notes: records }, [records.buffer])
    }
  }
}

function pieces(): PieceIngest {
  if (catalog === undefined) throw new Error('a piece came before its catalog')
  ingest ??= new PieceIngest({ roots, compression, files, notes, keepFrames: catalog.keepFrames }, catalog.pieces)
  return ingest
}

function batchOutcomes(blobs: readonly BatchedBlob[], bytes: Uint8Array): BlobOutcome[] {
  let at = 0
  return blobs.map((blob) => {
    const { encoding, sizeBytes, storedBytes, source } = blob
    const stored = bytes.subarray(at, at + storedBytes)
    at += storedBytes
    try {
      ingestContent(placeOf(blob), blob, encoding === 'gzip' ? gunzipExactly(stored, sizeBytes) : stored, source)
      return { error: undefined }
    } catch (error) {
      if (error instanceof GzipError) return { error: sentError(corrupt(blob, blob, `it ${error.message}`)) }
      if (error instanceof HoloError) return { error: sentError(error) }
      throw error
    }
  })
}

/** One large blob, from its first chunk to its end. */
async function ingestOpen(id: number, blob: OneBlob, queue: ChunkQueue, signal: AbortSignal): Promise<void> {
  const stream: BlobStream = { source: blob.source, encoding: blob.encoding, bytes: queue }
  try {
    await ingestBlob(placeOf(blob), blob, stream, signal)
    const records = notes.take()
    post({ kind: 'blob', id, outcome: { error: undefined }, notes: records }, [records.buffer])
  } catch (error) {
    post(laneFailure(id, error))
  } finally {
    open.delete(id)
  }
}

function drop({ queue, stop }: OpenBlob): void {
  stop.abort(new Error('nobody waits for it'))
  queue.end()
}

/** Begin nothing more, and close what is open. */
async function endAll(): Promise<void> {
  end.abort(new Error('the Worker was ended'))
  const opened = [...open.values()]
  opened.forEach(drop)
  await Promise.all([last, ...opened.map(({ done }) => done)])
  ingest?.[Symbol.dispose]()
  post({ kind: 'ended', id: 0 })
}

parentPort?.on('message', (request: IngestRequest | LaneEnd) => {
  switch (request.kind) {
    case 'open': {
      const { id, blob } = request
      const queue = new ChunkQueue(() => post({ kind: 'room', id }))
      const stop = new AbortController()
      open.set(id, { queue, stop, done: ingestOpen(id, blob, queue, stop.signal) })
      return
    }
    case 'chunk':
      return open.get(request.id)?.queue.push(request.bytes)
    case 'last':
      return open.get(request.id)?.queue.end()
    case 'end':
      return void endAll()
    case 'drop': {
      const dropped = open.get(request.id)
      if (dropped !== undefined) drop(dropped)
      return
    }
    default: {
      const id = 'id' in request ? request.id : 0
      last = last.then(() => inTurn(request)).catch((error) => post(laneFailure(id, error)))
    }
  }
})
