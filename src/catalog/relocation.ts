/**
 * Relocation: a blob contains the 24-byte name of the stage it was recorded in; a restored file has the space's name
 * there (formats.md §9). The base directory is never rewritten, so the catalog decides where its spaces lie.
 */
import { posix, win32 } from 'node:path'
import { HoloError } from '../base/errors.ts'
import { type Platform, parsePlatformTag } from './names.ts'
import type { CatalogInfo } from './tree.ts'

/** Length of every stage and space name. */
export const IDENTITY_BYTES = 24

const encoder = new TextEncoder()

export interface SpaceTarget {
  /** Absolute directory that the catalog was recorded for: the holotree of its spaces. */
  readonly base: string
  /** `<base>/<spaceName>`. */
  readonly path: string
}

/**
 * Where a space of this catalog lies, whatever ROBOCORP_HOME says.
 *
 * @param spaceName from `spaceName`
 * @throws {HoloError} code `relocation-length`: rcc's length checks fail, so nothing could be rewritten in place
 */
export function spaceTarget(
  catalog: Pick<CatalogInfo, 'path' | 'identity' | 'platform'>,
  spaceName: string,
): SpaceTarget {
  const { join } = pathsOf(parsePlatformTag(catalog.platform))
  const base = catalogBase(catalog)
  const path = join(base, spaceName)
  const lengths: [what: string, recorded: string, wanted: string][] = [
    ['Base name', catalog.identity, spaceName],
    ['Path', catalog.path, path],
  ]
  for (const [what, recorded, wanted] of lengths) {
    if (Buffer.byteLength(recorded) === Buffer.byteLength(wanted)) continue
    throw new HoloError(
      `${what} length mismatch: the environment was recorded for ${recorded}, the space would be ${wanted}`,
      { code: 'relocation-length', blame: 'input', hint: 'choose a space name of 24 bytes, as rcc makes them' },
    )
  }
  return { base, path }
}

/** Absolute directory that the catalog was recorded for: the holotree of its spaces. */
export function catalogBase({ path, platform }: Pick<CatalogInfo, 'path' | 'platform'>): string {
  return pathsOf(parsePlatformTag(platform)).dirname(path)
}

function pathsOf(platform: Platform | undefined): typeof posix {
  return platform?.os === 'windows' ? win32 : posix
}

/**
 * Write `spaceName` at every offset, in place.
 *
 * @param bytes a whole blob
 * @param offsets from `CatalogFile.rewrite`, in any order, repeats allowed
 * @throws {RangeError} an offset is beyond the end: `bytes` is not the catalog's blob
 */
export function applyRewrites(bytes: Uint8Array, offsets: readonly number[], spaceName: string): void {
  const name = nameBytes(spaceName)
  for (const offset of offsets) bytes.set(name, offset)
}

/**
 * The same for a blob that comes in chunks: the function returned patches one chunk in place, also where an occurrence
 * spans two. Chunks must be passed in order, without gaps.
 */
export function chunkRewriter(offsets: readonly number[], spaceName: string): (chunk: Uint8Array) => void {
  const name = nameBytes(spaceName)
  const ascending = [...offsets].sort((left, right) => left - right)
  let position = 0
  let next = 0
  return (chunk) => {
    const end = position + chunk.byteLength
    // Those that ended before this chunk are done for good.
    while (next < ascending.length && (ascending[next] ?? 0) + name.byteLength <= position) next++
    for (let index = next; index < ascending.length; index++) {
      const offset = ascending[index] ?? 0
      if (offset >= end) break
      const from = Math.max(offset, position)
      const to = Math.min(offset + name.byteLength, end)
      if (from < to) chunk.set(name.subarray(from - offset, to - offset), from - position)
    }
    position = end
  }
}

function nameBytes(spaceName: string): Uint8Array {
  const name = encoder.encode(spaceName)
  if (name.byteLength !== IDENTITY_BYTES) throw new RangeError(`${spaceName} is not ${IDENTITY_BYTES} bytes long`)
  return name
}
