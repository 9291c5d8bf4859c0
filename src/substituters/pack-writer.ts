/**
 * A pack made from blobs of this machine, as a file: piece after piece, in the memory of one (docs/substituters.md).
 *
 * Every blob is hashed on its way, so that a rotten one never leaves this machine.
 */
import { open } from 'node:fs/promises'
import { nextTurn } from '../base/clock.ts'
import { HoloError, hostError } from '../base/errors.ts'
import { type Sha256Digest, sha256Hasher, sha256Of } from '../blob/digest.ts'
import { GzipError } from '../blob/gzip.ts'
import type { LocalBlobs } from '../blob/local.ts'
import type { PieceOnWire } from '../blob/pieces.ts'
import type { BlobRef } from '../blob/source.ts'
import { zstdFrame } from '../blob/zstd.ts'
import { encodePackIndex, packIndexBytes } from '../catalog/pack-index.ts'
import type { Pieces } from '../catalog/pieces.ts'

/** Packs an environment as well as gzip does, many times as fast. */
const PACK_ZSTD_LEVEL = 3

export interface WrittenPack {
  readonly path: string
  readonly sizeBytes: number
}

/**
 * @param path of the file, which is made anew
 * @param onBytes called with the raw bytes of each piece that is done
 * @throws {HoloError} blame `missing`: a blob is not here; blame `host`: it cannot be read, is wrong, or the disk is full
 * @throws `signal.reason`; then, as after any error, the file is of no use
 */
export async function writePack(
  path: string,
  catalog: Sha256Digest,
  { blobs: refs, pieces }: Pieces,
  blobs: LocalBlobs,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<WrittenPack> {
  const wires: { bytes: number; encoding: PieceOnWire['encoding'] }[] = []
  const table = Buffer.alloc(pieces.length * 32)
  try {
    await using file = await open(path, 'w', 0o600)
    let offset = packIndexBytes(pieces.length)
    const add = async (content: Uint8Array): Promise<void> => {
      signal.throwIfAborted()
      table.write(sha256Of(content), wires.length * 32, 'hex')
      const { encoding, bytes } = wireOf(content)
      await file.writev([bytes], offset)
      offset += bytes.byteLength
      wires.push({ bytes: bytes.byteLength, encoding })
      onBytes(content.byteLength)
      // Compressing is synchronous: Ctrl-C and progress get their turn between pieces.
      await nextTurn()
    }
    for (const piece of pieces) {
      if (piece.kind === 'group') {
        await add(
          Buffer.concat(
            piece.blobs.map((blob) => wholeBlob(refs[blob], blobs)),
            piece.bytes,
          ),
        )
      } else if (piece.offset === 0) {
        const ref = refs[piece.blob]
        if (ref !== undefined)
          for await (const content of cut(verifiedBlob(ref, blobs), piece.bytes)) await add(content)
      }
    }
    await file.writev([encodePackIndex(catalog, wires, table)], 0)
    return { path, sizeBytes: offset }
  } catch (error) {
    signal.throwIfAborted()
    throw hostError(`write ${path}`, error)
  }
}

/** A frame, where that is smaller than the content. */
function wireOf(content: Uint8Array): PieceOnWire {
  const frame = zstdFrame(content, PACK_ZSTD_LEVEL)
  if (frame.byteLength < content.byteLength) return { encoding: 'zstd', bytes: frame }
  return { encoding: 'identity', bytes: content }
}

/** The verified content of a blob that is small. @throws {HoloError} as `writePack` */
export function wholeBlob(ref: BlobRef | undefined, blobs: LocalBlobs): Uint8Array {
  if (ref === undefined) throw new TypeError('a piece names a blob that its catalog does not have')
  const found = blobs.find(ref.digest) ?? absent(ref)
  try {
    const content = found.whole(ref.sizeBytes)
    if (content.byteLength !== ref.sizeBytes || sha256Of(content) !== ref.digest) throw new GzipError('has other bytes')
    return content
  } catch (error) {
    throw rotten(ref, error)
  }
}

/** The same in chunks; an error at the end where the digest is another. @throws {HoloError} while iterating */
export async function* verifiedBlob(ref: BlobRef, blobs: LocalBlobs): AsyncGenerator<Uint8Array> {
  const found = blobs.find(ref.digest) ?? absent(ref)
  const hasher = sha256Hasher()
  try {
    for await (const chunk of found.chunks(ref.sizeBytes)) {
      hasher.update(chunk)
      yield chunk
    }
  } catch (error) {
    throw rotten(ref, error)
  }
  if (hasher.digest() !== ref.digest) throw rotten(ref, new GzipError('has other bytes'))
}

/** Chunks of exactly `bytes`, the last one shorter. */
async function* cut(chunks: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let part = new Uint8Array(bytes)
  let filled = 0
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.byteLength; ) {
      const taken = chunk.subarray(at, at + bytes - filled)
      part.set(taken, filled)
      filled += taken.byteLength
      at += taken.byteLength
      if (filled < bytes) continue
      yield part
      part = new Uint8Array(bytes)
      filled = 0
    }
  }
  if (filled > 0) yield part.subarray(0, filled)
}

function absent({ digest }: BlobRef): never {
  throw new HoloError(`The blob ${digest} is not in the library any more`, {
    code: 'blob-nowhere',
    blame: 'missing',
    hint: 'restore the environment, so that its blobs are fetched or recorded again, and push it then',
  })
}

function rotten({ digest }: BlobRef, error: unknown): unknown {
  if (!(error instanceof GzipError)) return error
  return new HoloError(`The blob ${digest} of the library ${error.message}, so it is not sent on`, {
    code: 'local-blob-corrupt',
    blame: 'host',
    hint: 'run `holo-peer optimize --dry-run`, which finds all such blobs and moves them to quarantine',
  })
}
