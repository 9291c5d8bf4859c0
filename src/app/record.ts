/**
 * `record`: a stage → walk → contents into the library → catalog → signature → report. What rcc does at the end of a
 * build, and this machine's word that it made it.
 *
 * Blobs come before their catalog, and each appears by rename, so that a recording that is cut off leaves the library as
 * it was, with some blobs more and temporaries that the next sweep removes.
 */
import { systemClock } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import { LOCK_WAIT_MS } from '../base/limits.ts'
import { encodeStoredCatalog } from '../catalog/encode-catalog.ts'
import { globalLockPath, pidsDirectory } from '../catalog/layout.ts'
import { catalogName, stageName } from '../catalog/names.ts'
import { recordedCatalog } from '../catalog/recorded-catalog.ts'
import type { Catalog, CatalogName } from '../catalog/tree.ts'
import { type CatalogStatistics, catalogStatistics } from '../catalog/walk.ts'
import { loadBlueprint } from '../config/environment.ts'
import { Library } from '../store/library.ts'
import { acquireLock } from '../store/lock.ts'
import { PackedCatalogFolder } from '../store/packed-catalogs.ts'
import { type StoredBlobCounts, storeContents } from '../store/stage-contents.ts'
import { requireStage, writeStageIdentity } from '../store/stage-place.ts'
import { walkStage } from '../store/stage-walk.ts'
import { userName } from '../store/user-name.ts'
import { ownWord } from '../trust/publication.ts'
import { type VerifiedCatalog, verifyCatalog } from '../trust/verify-catalog.ts'
import { machineKey } from './keys.ts'
import { type Machine, thisMachine } from './machine.ts'
import { type PublishedView, publishedView } from './published-view.ts'
import { settingsOf } from './settings-of.ts'
import { computedTables, signHeld } from './signing.ts'
import { VERSION } from './version.ts'

export interface RecordOptions {
  /** The stage, as the user named it. */
  readonly directory: string
  /** A robot.yaml, or an environment file in its place. */
  readonly robotFile: string
}

/** How the caller hears of what takes long. */
export interface RecordEvents {
  readonly onLockWait: (lock: string, holders: readonly string[]) => void
  readonly onWarning: (text: string) => void
}

export interface RecordOutcome {
  readonly blueprint: string
  readonly catalog: CatalogName
  /** Absolute path of the stage, as the catalog has it. */
  readonly path: string
  /** What a restore of it makes. */
  readonly recorded: CatalogStatistics
  readonly blobs: Readonly<StoredBlobCounts>
  /** This machine's word for it, as its builder; null where it could not be given, which a warning tells. */
  readonly published: PublishedView | null
  /** Milliseconds of each stage, and of the whole; waiting for the lock counts in neither but the whole. */
  readonly ms: {
    readonly walk: number
    readonly contents: number
    readonly catalog: number
    readonly sign: number
    readonly total: number
  }
}

/**
 * Record a stage as the environment of a robot. The stage gets rcc's `identity.yaml` and stays where it is.
 *
 * The field `rcc` of the catalog names holo-peer and its version: rcc writes its own there and, as its source and the
 * tests against it say, reads it nowhere.
 *
 * @throws {HoloError} blame `input`: robot.yaml, the directory, or what stands in it; `host`: disk, permission, a file
 *   that changed meanwhile; `locked`: rcc builds or restores, and did not end
 * @throws `signal.reason`, unwrapped, once `signal` aborts
 */
export async function record(
  { directory, robotFile }: RecordOptions,
  events: RecordEvents,
  signal: AbortSignal,
  machine: Machine = thisMachine(),
): Promise<RecordOutcome> {
  const startedMs = systemClock.nowMs()
  const { verified, ms, ...recorded } = await recordStage({ directory, robotFile }, events, signal, machine)
  // rcc's lock is free again: this only reads.
  const recordedMs = systemClock.nowMs()
  const published = await signedAsBuilder(machine, verified, events.onWarning, signal)
  const endedMs = systemClock.nowMs()
  return { ...recorded, published, ms: { ...ms, sign: endedMs - recordedMs, total: endedMs - startedMs } }
}

interface Recorded extends Omit<RecordOutcome, 'published' | 'ms'> {
  readonly verified: VerifiedCatalog
  readonly ms: Omit<RecordOutcome['ms'], 'sign' | 'total'>
}

/** Under rcc's lock. */
async function recordStage(
  { directory, robotFile }: RecordOptions,
  events: RecordEvents,
  signal: AbortSignal,
  machine: Machine,
): Promise<Recorded> {
  const { roots } = machine
  requireStage(directory, roots)
  const { robocorpHome, platform } = roots
  const { blueprint } = await loadBlueprint({ robotFile, robocorpHome, platform }, signal)
  await using _lock = await globalLock(machine, events, signal)
  const lockedMs = systemClock.nowMs()
  // Again: rcc, while we waited for it, may have removed it.
  const path = requireStage(directory, roots)
  const { holotree } = await settingsOf(machine)
  const packed = new PackedCatalogFolder(machine.state, { readOnly: false })
  const library = new Library(roots, { packed, compression: holotree.compression })
  library.sweep(systemClock.wallMs())
  writeStageIdentity(path, blueprint.text)
  const stage = await walkStage(path, platform.os, signal)
  const walkedMs = systemClock.nowMs()
  const identity = stageName(roots.userIdentity, platform)
  const { contents, blobs } = await storeContents(stage, library, identity, signal)
  library.notes.flush()
  const storedMs = systemClock.nowMs()
  const tag = `${platform.os}_${platform.arch}`
  const info = { rcc: `holo-peer ${VERSION}`, identity, path, platform: tag, blueprint: blueprint.hash }
  const catalog = recordedCatalog(info, stage, contents)
  const name = catalogName(blueprint.hash, tag)
  const verified = await putCatalog(library, name, catalog, signal)
  return {
    blueprint: blueprint.hash,
    catalog: name,
    path,
    recorded: catalogStatistics(catalog),
    blobs,
    verified,
    ms: {
      walk: walkedMs - lockedMs,
      contents: storedMs - walkedMs,
      catalog: systemClock.nowMs() - storedMs,
    },
  }
}

/** @returns null where it cannot be signed: the environment is recorded all the same */
async function signedAsBuilder(
  machine: Machine,
  verified: VerifiedCatalog,
  onWarning: RecordEvents['onWarning'],
  signal: AbortSignal,
): Promise<PublishedView | null> {
  const library = new Library(machine.roots)
  // Those are never shared, so nobody would read it.
  if (library.digestKind() === 'siphash-128') return null
  try {
    const key = await machineKey(machine)
    const signature = await signHeld(
      machine,
      verified,
      { key, role: 'builder', tables: computedTables(library) },
      signal,
    )
    return publishedView({ grounds: 'own', signature, believed: [signature], strangers: [] })
  } catch (error) {
    if (!(error instanceof HoloError)) throw error
    onWarning(`the environment is recorded, but not signed: ${error.message}`)
    return null
  }
}

/** rcc builds in the stage, and wipes it, under this lock. */
function globalLock(
  { roots, environment }: Pick<Machine, 'roots' | 'environment'>,
  { onLockWait }: RecordEvents,
  signal: AbortSignal,
) {
  const path = globalLockPath(roots)
  const note = {
    directory: pidsDirectory(roots),
    controller: 'holo-peer',
    space: 'record',
    username: userName(environment),
  }
  const onWait = (holders: readonly string[]) => onLockWait(path, holders)
  return acquireLock(path, { waitMs: LOCK_WAIT_MS, shared: roots.shared, note, onWait }, signal)
}

async function putCatalog(
  library: Library,
  name: CatalogName,
  catalog: Catalog,
  signal: AbortSignal,
): Promise<VerifiedCatalog> {
  try {
    const stored = encodeStoredCatalog(catalog)
    const verified = verifyCatalog({ name, stored, source: catalog.path, announced: undefined, judge: ownWord })
    await library.putCatalog(verified, signal)
    return verified
  } catch (error) {
    if (!(error instanceof HoloError)) throw error
    if (error.code === 'catalog-invalid') {
      // Of our own making, so only the bounds on its bytes as a whole are left to fail.
      throw new HoloError(`${catalog.path} has more entries than a catalog can hold: ${error.message}`, {
        code: 'stage-too-large',
        blame: 'input',
        hint: 'take out what the environment does not need; links to large directories count too',
        cause: error,
      })
    }
    if (error.code !== 'catalog-incomplete') throw error
    throw new HoloError(`Blobs of catalog ${name} were removed from the library while it was recorded`, {
      code: 'blobs-removed',
      blame: 'host',
      hint: 'wait until `rcc holotree check` has finished, then run the same command again',
      cause: error,
    })
  }
}
