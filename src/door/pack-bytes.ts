/**
 * The bytes of a laid-out pack, or of a range of it, made while they are sent: no file, and memory for one piece.
 *
 * A piece that is not to be had any more in the form that the layout says ends it in the middle: its length was told
 * already, so the client sees that it is not whole.
 */
import type { HoloError } from '../base/errors.ts'
import type { FormedPieces } from '../blob/pieces.ts'
import { encodePackEntries, encodePackHeader } from '../catalog/pack-index.ts'
import { blobChanged } from './blob-changed.ts'
import type { ByteRange } from './byte-range.ts'
import type { PackLayout } from './pack-layout.ts'

const SHA256_BYTES = 32

/**
 * @returns the bytes of `range`, in chunks of at most a piece
 * @throws {HoloError} while iterating: code `blob-changed`, a piece is not here as it was; blame `host`
 * @throws `signal.reason` once `signal` aborts
 */
export async function* packBytes(
  layout: PackLayout,
  range: ByteRange,
  pieces: FormedPieces,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (range.from < layout.indexBytes) {
    yield* cut(indexChunks(layout, pieces, signal), range)
  }
  if (range.end <= layout.indexBytes) return
  const start = Math.max(range.from, layout.indexBytes)
  for (let piece = layout.pieceAt(start); piece < layout.forms.length && layout.offsetOf(piece) < range.end; piece++) {
    const form = layout.forms[piece]
    if (form === undefined || form.bytes === 0) continue
    const bytes = await pieces.inForm(layout.catalog, piece, form, signal)
    if (bytes?.byteLength !== form.bytes) throw changed(layout, piece)
    const offset = layout.offsetOf(piece)
    yield bytes.subarray(Math.max(0, start - offset), range.end - offset)
  }
}

/** The index, entry by entry as hashes come: where they are still to be computed, its beginning need not wait. */
async function* indexChunks(layout: PackLayout, pieces: FormedPieces, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const { catalog, forms } = layout
  yield encodePackHeader(catalog, forms.length)
  let done = 0
  for await (const hashes of pieces.hashes(catalog, signal)) {
    const end = done + hashes.byteLength / SHA256_BYTES
    yield encodePackEntries(forms.slice(done, end), hashes)
    done = end
  }
  if (done < forms.length) throw changed(layout, done)
}

/** The part of chunks in a row that lies in `range`; the first one begins at 0. */
async function* cut(chunks: AsyncIterable<Uint8Array>, { from, end }: ByteRange): AsyncGenerator<Uint8Array> {
  let at = 0
  for await (const chunk of chunks) {
    const wanted = chunk.subarray(Math.max(0, from - at), Math.max(0, end - at))
    if (wanted.byteLength > 0) yield wanted
    at += chunk.byteLength
    if (at >= end) return
  }
}

function changed({ catalog }: PackLayout, piece: number): HoloError {
  return blobChanged(`Piece ${piece} of the environment with the catalog ${catalog}`)
}
