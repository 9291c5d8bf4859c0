/** `push`: environments of this library, brought to a substituter that others ask. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../base/clock.ts'
import { HoloError, systemCodeOf } from '../base/errors.ts'
import { systemRandom } from '../base/random.ts'
import { sha256Of } from '../blob/digest.ts'
import { parseSourceAddress } from '../blob/source-address.ts'
import { inflateCatalog } from '../catalog/decode-catalog.ts'
import { statePaths } from '../catalog/layout.ts'
import { catalogName, parseCatalogName } from '../catalog/names.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { DEFAULT_SUBSTITUTER, type SubstituterSetting } from '../config/settings.ts'
import { SignatureFolder } from '../config/signature-folder.ts'
import { makeStateFolder } from '../config/state.ts'
import { Library } from '../store/library.ts'
import { openPushTarget } from '../substituters/open-substituter.ts'
import type { PushedEnvironment, PushOutcome } from '../substituters/push-environment.ts'
import { encodeSignatures } from '../trust/signature-json.ts'
import { thisMachine } from './machine.ts'
import { settingsOf } from './settings-of.ts'

export type { PushOutcome }

export interface PushRequest {
  /** A URI; where the settings have an entry for it, on the terms that stand there. */
  readonly target: string
  /** Names of catalogs, or hashes of blueprints of this platform; none: every complete environment. */
  readonly catalogs: readonly string[]
  readonly dryRun: boolean
  /** Where the credentials stand; undefined: where the settings say. */
  readonly credentialsEnv: string | undefined
  readonly credentialsFile: string | undefined
}

export interface PushEvents {
  readonly onProgress: (catalog: CatalogName, done: number, all: number, sentBytes: number) => void
}

export interface PushReport {
  readonly target: string
  readonly dryRun: boolean
  readonly environments: readonly PushOutcome[]
  /** Catalogs of the library that were left out, since blobs of theirs are not here. */
  readonly incomplete: readonly CatalogName[]
  readonly ms: number
}

/**
 * @throws {HoloError} blame `input`: the target cannot be pushed to, or a catalog is not here; `source`: the target
 *   fails; `host`, `missing`: blobs of this library
 * @throws `signal.reason`, unwrapped, once `signal` aborts; what was sent stays, and need not be sent again
 */
export async function push(request: PushRequest, { onProgress }: PushEvents, signal: AbortSignal): Promise<PushReport> {
  const machine = thisMachine()
  const { substituters } = await settingsOf(machine)
  const setting = settingOf(request, substituters)
  const { address } = setting
  if (address.kind === 'peers') throw unusable('peers', 'are no place to push to: a daemon offers them what is here')
  if (address.kind === 'file' && address.path.endsWith('.zip')) {
    throw unusable(address.label, 'is a zip, which is made whole or not at all: push to a directory')
  }
  const library = new Library(machine.roots)
  const around = { clock: systemClock, random: systemRandom, environment: machine.environment }
  await using target = openPushTarget(address, setting, around)
  await makeStateFolder(machine.state.directory)
  await sweepSpools(machine.state.directory)
  const spool = await mkdtemp(join(machine.state.directory, `push-${process.pid}-`))
  const environments: PushOutcome[] = []
  const incomplete: CatalogName[] = []
  try {
    for (const name of wantedCatalogs(
      request.catalogs,
      library,
      `${machine.roots.platform.os}_${machine.roots.platform.arch}`,
    )) {
      const environment = await environmentOf(name, library, signal)
      if (environment === undefined) {
        if (request.catalogs.length > 0) throw notHere(name, library)
        incomplete.push(name)
        continue
      }
      const options = {
        dryRun: request.dryRun,
        spool,
        onProgress: (done: number, all: number, sentBytes: number) => onProgress(name, done, all, sentBytes),
      }
      environments.push(await target.push(environment, options, signal))
    }
  } finally {
    await rm(spool, { recursive: true, force: true })
  }
  return { target: target.name, dryRun: request.dryRun, environments, incomplete, ms: systemClock.nowMs() }
}

/** Of pushes that were killed. A process that bears the number of one by chance keeps its spool for another time. */
async function sweepSpools(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const pid = Number(/^push-(\d{1,10})-/.exec(name)?.[1] ?? process.pid)
    if (!isAlive(pid)) await rm(join(directory, name), { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return systemCodeOf(error) !== 'ESRCH'
  }
}

function settingOf(request: PushRequest, known: readonly SubstituterSetting[]): SubstituterSetting {
  const address = parseSourceAddress(request.target)
  if (typeof address === 'string') throw unusable(request.target, address)
  const { credentialsEnv, credentialsFile } = request
  if (credentialsEnv !== undefined && credentialsFile !== undefined) {
    throw unusable(request.target, 'cannot have credentials from two places: name a variable or a file')
  }
  const setting = known.find((each) => each.address.label === address.label) ?? { ...DEFAULT_SUBSTITUTER, address }
  const given = credentialsEnv !== undefined || credentialsFile !== undefined
  return given ? { ...setting, credentialsEnv, credentialsFile } : setting
}

function wantedCatalogs(asked: readonly string[], library: Library, platform: string): readonly CatalogName[] {
  if (asked.length === 0) return library.catalogs()
  return asked.map((text) => {
    const name = parseCatalogName(text) ?? (/^[0-9a-f]{16}$/.test(text) ? catalogName(text, platform) : undefined)
    if (name !== undefined) return name
    throw new HoloError(`"${text}" is neither the name of a catalog nor the hash of a blueprint`, {
      code: 'catalog-name-invalid',
      blame: 'input',
      hint: 'names look like 0123456789abcdefv12.linux_amd64; `rcc holotree catalogs` lists them',
    })
  })
}

async function environmentOf(
  name: CatalogName,
  library: Library,
  signal: AbortSignal,
): Promise<PushedEnvironment | undefined> {
  if (library.digestKind() !== 'sha-256') {
    throw new HoloError(
      `The library ${library.roots.hololib} has compress.no, so its blobs bear digests that prove nothing`,
      {
        code: 'library-no-compress',
        blame: 'input',
        hint: 'push from a library without compress.no',
      },
    )
  }
  const found = await library.complete(name, signal)
  if (found === undefined) return undefined
  const { catalog, stored } = found
  const sha256 = sha256Of(inflateCatalog(stored, `Catalog ${name}`))
  const signed = new SignatureFolder(statePaths(library.roots)).fitting(name, sha256)
  const signatures = signed.length === 0 ? undefined : encodeSignatures(signed)
  return { name, catalog, stored, sha256, signatures, blobs: library }
}

function notHere(name: CatalogName, library: Library): HoloError {
  return new HoloError(`The environment ${name} is not complete in the library ${library.roots.hololib}`, {
    code: 'not-in-library',
    blame: 'missing',
    hint: 'restore it here first, or push it from a machine that has it',
  })
}

function unusable(target: string, fault: string): HoloError {
  return new HoloError(`${target} ${fault}`, {
    code: 'push-target-invalid',
    blame: 'input',
    hint: 'name an https://, http://, s3://, oci:// or file:/// address',
  })
}
