/**
 * Read the notes beside a space: what they say stands in it.
 *
 * Bytes that equal those of a note that we would write ourselves need no decoding: of the catalog to be restored first,
 * then of the one that `.meta.info` names. Others, such as rcc's, are decoded, once where packed catalogs are kept.
 * Whether a note can be trusted is for `inspectSpace` to say.
 */
import * as fs from 'node:fs'
import { HoloError, systemCodeOf } from '../base/errors.ts'
import { CATALOG_STORED_BYTES_MAX } from '../base/limits.ts'
import { sha256Of } from '../blob/digest.ts'
import { decodeCatalog, inflateCatalog } from '../catalog/decode-catalog.ts'
import type { SpacePaths } from '../catalog/layout.ts'
import { parseCatalogName } from '../catalog/names.ts'
import type { PackedCatalogs } from '../catalog/packed-form.ts'
import type { SpaceNote } from '../catalog/space-note.ts'
import type { Catalog, CatalogName } from '../catalog/tree.ts'

/** `.meta.info` has seven short fields. */
const META_INFO_BYTES_MAX = 64 * 1024

/** What stands in the notes of a space. */
export interface NotedSpace {
  /** `.meta`, where it can be decoded. */
  readonly meta: Catalog | undefined
  /** Text of `.meta.info`. */
  readonly metaInfo: string | undefined
}

/** Notes that are known without decoding. */
export interface KnownNotes {
  /** What a restore will leave. */
  readonly wanted: SpaceNote
  /** What a restore of another catalog of the library left in the same space; undefined where that is not at hand. */
  readonly other: (name: CatalogName) => SpaceNote | undefined
  readonly packed: PackedCatalogs | undefined
}

/** A note that is missing, torn or not ours to read is none: rcc, too, then takes the space for a new one. */
export function readNote(paths: SpacePaths, known: KnownNotes): NotedSpace {
  const metaInfo = readBounded(paths.metaInfo, META_INFO_BYTES_MAX)?.toString('utf8')
  const bytes = readBounded(paths.meta, CATALOG_STORED_BYTES_MAX)
  if (bytes === undefined) return { meta: undefined, metaInfo }
  return { metaInfo, meta: sayingOf(bytes, metaInfo, known) ?? decoded(bytes, paths.meta, known.packed) }
}

function sayingOf(bytes: Buffer, metaInfo: string | undefined, { wanted, other }: KnownNotes): Catalog | undefined {
  if (bytes.equals(wanted.bytes())) return wanted.meta
  const named = metaInfo === undefined ? undefined : namedIn(metaInfo)
  const note = named === undefined ? undefined : other(named)
  return note !== undefined && bytes.equals(note.bytes()) ? note.meta : undefined
}

function namedIn(metaInfo: string): CatalogName | undefined {
  try {
    const found: unknown = JSON.parse(metaInfo)
    if (typeof found !== 'object' || found === null) return undefined
    const { blueprint, platform } = found as { blueprint?: unknown; platform?: unknown }
    return parseCatalogName(`${blueprint}v12.${platform}`)
  } catch {
    return undefined
  }
}

function decoded(bytes: Buffer, path: string, packed: PackedCatalogs | undefined): Catalog | undefined {
  const key = packed === undefined ? undefined : sha256Of(bytes)
  const kept = key === undefined ? undefined : packed?.find(key)
  if (kept !== undefined) return kept.catalog
  const origin = `Space note ${path}`
  try {
    const json = inflateCatalog(bytes, origin)
    const catalog = decodeCatalog(json, origin)
    if (key !== undefined) packed?.add(key, { catalog, sha256: sha256Of(json), tail: undefined })
    return catalog
  } catch (error) {
    if (error instanceof HoloError) return undefined
    throw error
  }
}

function readBounded(path: string, bytesMax: number): Buffer | undefined {
  try {
    return fs.statSync(path).size > bytesMax ? undefined : fs.readFileSync(path)
  } catch (error) {
    if (systemCodeOf(error) !== undefined) return undefined
    throw error
  }
}
