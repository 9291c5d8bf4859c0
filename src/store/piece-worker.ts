/**
 * The Worker behind `LibraryPieces`: reads, verifies and compresses pieces, one after the other.
 *
 * An entry of its own (base/worker-entry.ts). It is told when it ends.
 */
import { constants, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { messageOf } from '../base/errors.ts'
import { FRAME_GAIN_MIN } from '../base/limits.ts'
import { giveBack, spareMemory } from '../base/spare-memory.ts'
import { type Sha256Digest, sha256Of } from '../blob/digest.ts'
import { zstdFrame } from '../blob/zstd.ts'
import { statePaths } from '../catalog/layout.ts'
import { contentBytes, type PackedPieces } from './packed-pieces.ts'
import type { PieceFound, PiecePlan, PieceQuestion, PieceReply, PieceRequest } from './piece-messages.ts'
import { PieceReader } from './piece-reader.ts'
import { VerifiedNotes } from './verified-notes.ts'
import { type LaneEnd, type LaneEnded, laneFailure } from './worker-lane.ts'

const { roots, nice } = workerData as PiecePlan
const notes = new VerifiedNotes(statePaths(roots).verifiedNotes)
const reader = new PieceReader(roots, notes)
const catalogs = new Map<Sha256Digest, PackedPieces>()
const end = new AbortController()
/** The end of what was asked for so far. */
let last: Promise<void> = Promise.resolve()

async function answer(question: PieceQuestion): Promise<void> {
  end.signal.throwIfAborted()
  const found = await find(question)
  notes.flush()
  const reply: PieceReply = { kind: 'piece', id: question.id, found }
  const buffer = found?.bytes?.buffer
  parentPort?.postMessage(reply, buffer instanceof ArrayBuffer ? [buffer] : [])
}

async function find(question: PieceQuestion): Promise<PieceFound | undefined> {
  const { catalog, piece, place, level, hash, bytes, memory } = question
  const pieces = catalogs.get(catalog)
  if (pieces === undefined) throw new Error('a piece was asked for before its catalog was told')
  const content = memory ?? spareMemory(contentBytes(pieces, piece))
  const isRead =
    (place.kind === 'temporary' && reader.readUnfinishedInto(content, place)) ||
    (await reader.readInto(content, pieces, piece, end.signal))
  if (!isRead) return undefined
  const sha256 = hash ? sha256Of(content) : undefined
  if (!bytes) {
    giveBack(content)
    return { encoding: 'identity', bytes: undefined, sha256 }
  }
  if (level === undefined) return { encoding: 'identity', bytes: content, sha256 }
  const frame = zstdFrame(content, level)
  if (frame.byteLength > (1 - FRAME_GAIN_MIN) * content.byteLength) {
    return { encoding: 'identity', bytes: content, sha256 }
  }
  giveBack(content)
  // What zlib gives is a view of a larger buffer.
  return { encoding: 'zstd', bytes: new Uint8Array(frame), sha256 }
}

function standBack(): void {
  if (nice === 0) return
  try {
    // On Linux that of the calling thread alone; elsewhere it would be that of the process.
    if (process.platform === 'linux') setPriority(0, Math.min(nice, constants.priority.PRIORITY_LOW))
  } catch (error) {
    // Advice: without it the work is done all the same.
    process.emitWarning(`the priority of a background thread could not be lowered: ${messageOf(error)}`)
  }
}

/** Begin nothing more, and close what is open. */
async function endAll(): Promise<void> {
  end.abort(new Error('the Worker was ended'))
  await last
  reader[Symbol.dispose]()
  const ended: LaneEnded = { kind: 'ended', id: 0 }
  parentPort?.postMessage(ended)
}

parentPort?.on('message', (request: PieceRequest | LaneEnd) => {
  if (request.kind === 'end') void endAll()
  else if (request.kind === 'catalog') catalogs.set(request.catalog, request.pieces)
  else if (request.kind === 'forget') catalogs.delete(request.catalog)
  else last = last.then(() => answer(request)).catch((error) => parentPort?.postMessage(laneFailure(request.id, error)))
})
standBack()
