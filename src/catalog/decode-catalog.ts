/**
 * Catalog bytes, from a disk or a peer, to a `Catalog` that is safe to plan with (formats.md §5).
 *
 * Guarantees what tree.ts promises: no name that climbs, sizes and offsets that fit, one kind of digest, everything
 * within the limits and refused before it is allocated. It does not judge where links point (rcc records absolute
 * ones; restoring never writes through a link), nor who made the catalog.
 */
import { gunzipSync } from 'node:zlib'
import { HoloError, messageOf } from '../base/errors.ts'
import {
  CATALOG_INFLATE_FREE_BYTES,
  CATALOG_INFLATE_RATIO_MAX,
  CATALOG_JSON_BYTES_MAX,
  CATALOG_STORED_BYTES_MAX,
  CHUNK_BYTES,
} from '../base/limits.ts'
import { CatalogDecoder, CatalogProblem } from './catalog-decoder.ts'
import { JsonSyntaxError } from './json-reader.ts'
import type { Catalog } from './tree.ts'

/**
 * Decode a catalog as it lies in a library, or a space's `.meta`: gzip'd JSON.
 *
 * @param origin what it is and where it came from, as the subject of the error: `Catalog X of peer Y`
 * @throws {HoloError} code `catalog-invalid`, blame `source`
 */
export function decodeStoredCatalog(storedBytes: Uint8Array, origin = 'A catalog'): Catalog {
  return decodeCatalog(inflateCatalog(storedBytes, origin), origin)
}

/**
 * gunzip a catalog under a bound, without looking at what comes out; whoever compares catalogs hashes this.
 *
 * @throws {HoloError} code `catalog-invalid`, blame `source`
 */
export function inflateCatalog(storedBytes: Uint8Array, origin = 'A catalog'): Uint8Array {
  const storedSize = storedBytes.byteLength
  if (storedSize > CATALOG_STORED_BYTES_MAX)
    throw refusal(origin, `it takes more than ${CATALOG_STORED_BYTES_MAX} bytes`)
  const bytesMax = Math.min(
    CATALOG_JSON_BYTES_MAX,
    Math.max(CATALOG_INFLATE_FREE_BYTES, storedSize * CATALOG_INFLATE_RATIO_MAX),
  )
  try {
    // In one piece, where the last four bytes tell the truth (RFC 1952, ISIZE): pieces that are joined take twice the room.
    const told =
      storedSize < 4 ? 0 : new DataView(storedBytes.buffer, storedBytes.byteOffset).getUint32(storedSize - 4, true)
    const chunkSize = Math.max(CHUNK_BYTES, Math.min(told, bytesMax) + 1)
    return gunzipSync(storedBytes, { maxOutputLength: bytesMax, chunkSize })
  } catch (error) {
    const tooLarge = error instanceof RangeError
    throw refusal(origin, tooLarge ? `it inflates to more than ${bytesMax} bytes` : `it is no whole gzip stream`, error)
  }
}

/**
 * Decode a catalog's JSON.
 *
 * @param origin as for `decodeStoredCatalog`
 * @throws {HoloError} code `catalog-invalid`, blame `source`
 */
export function decodeCatalog(jsonBytes: Uint8Array, origin = 'A catalog'): Catalog {
  if (jsonBytes.byteLength > CATALOG_JSON_BYTES_MAX) {
    throw refusal(origin, `it takes more than ${CATALOG_JSON_BYTES_MAX} bytes`)
  }
  try {
    return new CatalogDecoder(jsonBytes).catalog()
  } catch (error) {
    if (!(error instanceof CatalogProblem || error instanceof JsonSyntaxError)) throw error
    throw refusal(origin, messageOf(error), error)
  }
}

function refusal(origin: string, problem: string, cause?: unknown): HoloError {
  return new HoloError(`${origin} is refused: ${problem}`, {
    code: 'catalog-invalid',
    blame: 'source',
    hint: 'take it from another source, or let rcc record the environment again',
    cause,
  })
}
