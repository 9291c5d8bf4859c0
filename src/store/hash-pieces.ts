/**
 * The piece table of a catalog whose blobs are all here: every blob is read once, and compared with its digest on the way,
 * so that nobody signs a table of rotten bytes.
 *
 * It takes about a second for each 500 MB, so it is done in turns: what happens between them (and how much of the machine
 * is left to others) is the caller's. Writes nothing.
 */
import { HoloError } from '../base/errors.ts'
import { CHUNK_BYTES, PIECE_BYTES, RECORD_BYTES_PER_TURN } from '../base/limits.ts'
import { isSha256 } from '../blob/digest.ts'
import { GzipError } from '../blob/gzip.ts'
import type { LocalBlobs } from '../blob/local.ts'
import type { BlobRef } from '../blob/source.ts'
import { hasherFor } from '../catalog/hasher.ts'
import { piecesOf } from '../catalog/pieces.ts'
import type { Catalog } from '../catalog/tree.ts'

const DIGEST_BYTES = 32

export interface HashPiecesOptions {
  readonly blobs: Pick<LocalBlobs, 'find'>
  /** Called after every few MiB: lets others have their turn. */
  turn(signal: AbortSignal): Promise<void>
}

/**
 * @returns the SHA-256 of each piece's content, back to back, in the order of `piecesOf`
 * @throws {HoloError} blame `missing`, code `catalog-incomplete`; blame `host`: a blob is corrupt (code `blob-corrupt`) or
 *   cannot be read; blame `input`, code `digests-not-shared`: a catalog of a `compress.no` library
 * @throws `signal.reason` once `signal` aborts
 */
export async function hashPieces(
  catalog: Pick<Catalog, 'tree'>,
  { blobs, turn }: HashPiecesOptions,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { blobs: refs, pieces } = piecesOf(catalog)
  const table = new Uint8Array(pieces.length * DIGEST_BYTES)
  const done = new Set<number>()
  let sinceTurnBytes = 0
  const take = async (bytes: number) => {
    sinceTurnBytes += bytes
    if (sinceTurnBytes < RECORD_BYTES_PER_TURN) return
    sinceTurnBytes = 0
    await turn(signal)
    signal.throwIfAborted()
  }
  for (const [number, piece] of pieces.entries()) {
    if (piece.kind === 'group') {
      const hasher = new Bun.CryptoHasher('sha256')
      for (const index of piece.blobs) {
        for await (const chunk of provedContent(refs[index] as BlobRef, blobs)) hasher.update(chunk)
        // An empty blob costs a look too.
        await take(Math.max(CHUNK_BYTES / 64, (refs[index] as BlobRef).sizeBytes))
      }
      table.set(hasher.digest(), number * DIGEST_BYTES)
    } else if (!done.has(piece.blob)) {
      // Its ranges are the pieces that follow this one.
      done.add(piece.blob)
      let at = number * DIGEST_BYTES
      const ranges = new RangeHasher((digest) => {
        table.set(digest, at)
        at += DIGEST_BYTES
      })
      for await (const chunk of provedContent(refs[piece.blob] as BlobRef, blobs)) {
        ranges.update(chunk)
        await take(chunk.byteLength)
      }
      ranges.end()
    }
  }
  return table
}

/** SHA-256 of every `PIECE_BYTES` of what passes. */
class RangeHasher {
  #hasher = new Bun.CryptoHasher('sha256')
  #bytes = 0

  constructor(private readonly onRange: (digest: Uint8Array) => void) {}

  update(chunk: Uint8Array): void {
    for (let from = 0; from < chunk.byteLength; ) {
      const part = chunk.subarray(from, from + PIECE_BYTES - this.#bytes)
      this.#hasher.update(part)
      this.#bytes += part.byteLength
      from += part.byteLength
      if (this.#bytes === PIECE_BYTES) this.#close()
    }
  }

  end(): void {
    if (this.#bytes > 0) this.#close()
  }

  #close(): void {
    this.onRange(this.#hasher.digest())
    this.#hasher = new Bun.CryptoHasher('sha256')
    this.#bytes = 0
  }
}

/** The content of a blob; ends with an error where it was not the right one. */
async function* provedContent(ref: BlobRef, blobs: Pick<LocalBlobs, 'find'>): AsyncGenerator<Uint8Array> {
  if (!isSha256(ref.digest)) {
    throw new HoloError('An environment of a compress.no library is not shared, so it is not signed either', {
      code: 'digests-not-shared',
      blame: 'input',
      hint: 'let rcc record it again in a library without compress.no',
    })
  }
  const blob = blobs.find(ref.digest)
  if (blob === undefined) throw gone(ref)
  const hasher = hasherFor(ref.digest)
  let bytes = 0
  try {
    const chunks = ref.sizeBytes <= PIECE_BYTES ? [blob.whole(ref.sizeBytes)] : blob.chunks(ref.sizeBytes)
    for await (const chunk of chunks) {
      hasher.update(chunk)
      bytes += chunk.byteLength
      yield chunk
    }
  } catch (error) {
    if (error instanceof GzipError) throw corrupt(ref, error.message)
    throw error
  }
  if (bytes !== ref.sizeBytes) throw corrupt(ref, `has ${bytes} bytes instead of ${ref.sizeBytes}`)
  const actual = hasher.digest()
  if (actual !== ref.digest) throw corrupt(ref, `has the digest ${actual}`)
}

function gone({ digest }: BlobRef): HoloError {
  return new HoloError(`Blob ${digest} is not in the library`, {
    code: 'catalog-incomplete',
    blame: 'missing',
    hint: 'restore the environment once, so that what is missing is fetched, or let rcc build it again',
  })
}

function corrupt({ digest }: BlobRef, how: string): HoloError {
  return new HoloError(`Blob ${digest} of the library ${how}`, {
    code: 'blob-corrupt',
    blame: 'host',
    hint: 'restore the environment once with --verification always: what is corrupt is then fetched again',
  })
}
