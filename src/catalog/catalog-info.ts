/** What the info fields of a catalog must agree on, wherever they were read from (formats.md §5). Pure. */
import { posix, win32 } from 'node:path'
import { isBlueprintHash, parsePlatformTag } from './names.ts'
import { IDENTITY_BYTES } from './relocation.ts'
import type { CatalogInfo } from './tree.ts'

/** @returns why a catalog with these fields is refused, as half a sentence; undefined where they are fine */
export function catalogInfoProblem({ identity, path, platform, blueprint }: CatalogInfo): string | undefined {
  const system = parsePlatformTag(platform)
  if (system === undefined) return `its platform ${JSON.stringify(platform)} is unknown`
  if (!isBlueprintHash(blueprint)) return 'its blueprint is not 16 hex digits'
  const { isAbsolute, normalize, basename } = system.os === 'windows' ? win32 : posix
  if (path.includes('\0') || !isAbsolute(path) || normalize(path) !== path) {
    return `its path ${JSON.stringify(path)} is not absolute and normalised`
  }
  if (Buffer.byteLength(identity) !== IDENTITY_BYTES || identity !== basename(path)) {
    return `its identity ${JSON.stringify(identity)} is not the ${IDENTITY_BYTES}-byte end of its path`
  }
  return undefined
}
