/**
 * Pieces out of a catalog's pack, by few ranges (docs/substituters.md, "Packs").
 *
 * The index is read first, and held against the catalog; then ranges are read side by side. What comes is bounded by
 * the index and unverified.
 */
import { HoloError, messageOf } from '../base/errors.ts'
import { roomLogger } from '../base/log.ts'
import { PACK_RANGES_AT_ONCE } from '../base/substituter-limits.ts'
import { decodePackIndex, type PackIndex, PackIndexError, packIndexBytes } from '../catalog/pack-index.ts'
import { type Pieces, piecesOf } from '../catalog/pieces.ts'
import { treePackName } from '../catalog/tree-names.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import { ByteReader } from './byte-reader.ts'
import { collect } from './collect.ts'
import { merged } from './merged.ts'
import { type PackRange, packRanges } from './pack-ranges.ts'
import { SourceFailedError } from './source-failed-error.ts'
import type { Delivery, Wanted } from './substituter.ts'
import type { TreeReader } from './tree-store.ts'

const log = roomLogger('substituters')

/**
 * @returns the pieces that hold blobs of `wanted` and are not here, and those between them; undefined where there is no pack of this
 *   catalog that can be read by ranges
 * @throws {SourceFailedError} also while iterating; `signal.reason`
 */
export async function readPack(
  tree: TreeReader,
  catalog: VerifiedCatalog,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<AsyncGenerator<Delivery> | undefined> {
  const pieces = piecesOf(catalog.catalog)
  const found = await readIndex(tree, catalog, pieces, signal)
  if (found === undefined) return undefined
  const { index, version } = found
  const ranges = packRanges(index.pieces, piecesWanted(pieces, wanted), { cutsBefore: startsBlob(pieces) })
  log.debug`${ranges.length} ranges of the pack of ${catalog.name} from ${tree.name}`
  const streams = ranges.map((range) => () => readRange(tree, catalog, index, { ...range, version }, signal))
  return behindTable(index.table, merged(streams, PACK_RANGES_AT_ONCE))
}

async function* behindTable(table: Uint8Array, deliveries: AsyncGenerator<Delivery>): AsyncGenerator<Delivery> {
  yield { kind: 'table', table }
  yield* deliveries
}

async function readIndex(
  tree: TreeReader,
  { name, sha256 }: VerifiedCatalog,
  { pieces }: Pieces,
  signal: AbortSignal,
): Promise<{ readonly index: PackIndex; readonly version: string | undefined } | undefined> {
  const bytes = packIndexBytes(pieces.length)
  const what = `${treePackName(name)} of ${tree.name}`
  try {
    const object = await tree.read(treePackName(name), { range: { offset: 0, bytes } }, signal)
    if (object === undefined) return undefined
    const head = await collect(object.bytes, bytes, what)
    const contentBytes = pieces.map((piece) => piece.bytes)
    return { index: decodePackIndex(head, sha256, contentBytes), version: object.version }
  } catch (error) {
    if (!isUnusablePack(error)) throw error
    // It may be that of a catalog that is just being replaced: the blobs are there all the same.
    log.info`${what} is passed over: ${messageOf(error)}`
    return undefined
  }
}

/** Whether what went wrong with an index is that there is no such pack as we could read by ranges. */
export function isUnusablePack(error: unknown): boolean {
  if (error instanceof PackIndexError) return true
  return error instanceof HoloError && ['source-without-ranges', 'source-short'].includes(error.code)
}

/** Numbers of the pieces that hold these blobs and are not here, ascending. */
export function piecesWanted({ blobs, pieces }: Pieces, wanted: Wanted): number[] {
  const digests = new Set(wanted.blobs.map(({ digest }) => digest))
  const isWanted = (blob: number) => {
    const ref = blobs[blob]
    return ref !== undefined && digests.has(ref.digest)
  }
  return pieces.flatMap((piece, number) => {
    const hit = piece.kind === 'group' ? piece.blobs.some(isWanted) : isWanted(piece.blob)
    return hit && !wanted.isHere(number) ? [number] : []
  })
}

/** Whether a piece does not go on with the blob of the one before it: a large blob comes over one connection, in order. */
function startsBlob({ pieces }: Pieces): (piece: number) => boolean {
  return (number) => {
    const piece = pieces[number]
    return piece === undefined || piece.kind === 'group' || piece.offset === 0
  }
}

async function* readRange(
  tree: TreeReader,
  { name }: VerifiedCatalog,
  index: PackIndex,
  { first, last, offset, bytes, version }: PackRange & { readonly version: string | undefined },
  signal: AbortSignal,
): AsyncGenerator<Delivery> {
  const options = { range: { offset, bytes }, version }
  const object = bytes === 0 ? undefined : await tree.read(treePackName(name), options, signal)
  if (object === undefined && bytes > 0) {
    throw new SourceFailedError(`${treePackName(name)} of ${tree.name} has gone while it was read`, {
      code: 'source-broke-off',
    })
  }
  const reader = new ByteReader(object?.bytes ?? nothing())
  try {
    for (let piece = first; piece <= last; piece++) {
      const packed = index.pieces[piece]
      if (packed === undefined) return
      const content = await reader.exactly(packed.bytes)
      if (content === undefined) throw new TypeError('a range of a pack was shorter than its tree promised')
      yield { kind: 'piece', piece, wire: { encoding: packed.encoding, bytes: content } }
    }
  } finally {
    await reader.end()
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
