/** `sign`: add a signature of this machine, or of one of its named keys, to environments of its library. */
import { HoloError } from '../base/errors.ts'
import { catalogName, parseCatalogName } from '../catalog/names.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { loadBlueprint } from '../config/environment.ts'
import { Library } from '../store/library.ts'
import { PackedCatalogFolder } from '../store/packed-catalogs.ts'
import type { SignerRole } from '../trust/catalog-signature.ts'
import { signingKey } from './keys.ts'
import { localCatalog } from './local-catalog.ts'
import { localJudge } from './local-judge.ts'
import { type Machine, thisMachine } from './machine.ts'
import { type PublishedView, publishedView } from './published-view.ts'
import { settingsOf } from './settings-of.ts'
import { computedTables, signHeld } from './signing.ts'

export interface SignOptions {
  /** Names of catalogs. */
  readonly catalogs: readonly string[]
  /** A robot.yaml, or an environment file in its place, whose environment is meant too. */
  readonly robotFile: string | undefined
  /** Name of a signing key; undefined for the machine's own. */
  readonly keyName: string | undefined
  readonly role: SignerRole
}

export interface SignedCatalog extends PublishedView {
  readonly catalog: CatalogName
}

/**
 * Sign each catalog, in the order given. What was signed before one fails stays signed.
 *
 * @throws {HoloError} blame `input`: nothing is named, a name is none, robot.yaml, or no such key; `missing`: an environment
 *   is not in the library, or not whole; `host`: a blob is corrupt, disk, permission
 * @throws `signal.reason`, unwrapped, once `signal` aborts
 */
export async function sign(
  { catalogs, robotFile, keyName, role }: SignOptions,
  onSigned: (signed: SignedCatalog) => void,
  signal: AbortSignal,
  machine: Machine = thisMachine(),
): Promise<readonly SignedCatalog[]> {
  const names = await namesOf(catalogs, robotFile, machine, signal)
  const key = await signingKey(machine, keyName)
  const packed = new PackedCatalogFolder(machine.state, { readOnly: false })
  const library = new Library(machine.roots, { packed })
  const tables = computedTables(library)
  const judge = await localJudge(machine, await settingsOf(machine))
  const signed: SignedCatalog[] = []
  for (const name of names) {
    const held = localCatalog(name, library, judge, refuse)
    if (held === undefined) throw notHere(name, machine)
    const signature = await signHeld(machine, held, { key, role, tables }, signal)
    const each = {
      catalog: name,
      ...publishedView({ grounds: 'own', signature, believed: [signature], strangers: [] }),
    }
    signed.push(each)
    onSigned(each)
  }
  return signed
}

async function namesOf(
  texts: readonly string[],
  robotFile: string | undefined,
  { roots }: Machine,
  signal: AbortSignal,
): Promise<readonly CatalogName[]> {
  const names = new Set<CatalogName>()
  for (const text of texts) {
    const name = parseCatalogName(text)
    if (name === undefined) {
      throw new HoloError(`"${text.slice(0, 100)}" is not the name of a catalog`, {
        code: 'catalog-name-invalid',
        blame: 'input',
        hint: 'write it as `holo-peer daemon` and the folder catalog/ of the library do, or use --robot robot.yaml',
      })
    }
    names.add(name)
  }
  if (robotFile !== undefined) {
    const { robocorpHome, platform } = roots
    const { blueprint } = await loadBlueprint({ robotFile, robocorpHome, platform }, signal)
    names.add(catalogName(blueprint.hash, `${platform.os}_${platform.arch}`))
  }
  if (names.size > 0) return [...names]
  throw new HoloError('Which environments are to be signed?', {
    code: 'catalog-unnamed',
    blame: 'input',
    hint: 'name catalogs, or a robot with --robot robot.yaml',
  })
}

/** Unlike for a restore, a catalog that cannot be used is the end: the user has named it. */
function refuse(why: string): never {
  throw new HoloError(why, {
    code: 'catalog-invalid',
    blame: 'missing',
    hint: 'let rcc record the environment again, or restore it once from the fleet',
  })
}

function notHere(name: CatalogName, { roots }: Machine): HoloError {
  return new HoloError(`The environment ${name} is not in the library ${roots.hololib}, so it cannot be signed`, {
    code: 'not-in-library',
    blame: 'missing',
    hint: 'restore it once, or let rcc build it, and run the same command again',
  })
}
