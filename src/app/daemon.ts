/**
 * `daemon`: announces what the library holds to the fleets, serves it, and fetches for the commands of this machine.
 */
import { systemClock } from '../base/clock.ts'
import { HoloError, messageOf } from '../base/errors.ts'
import type { HeldLock } from '../base/held-lock.ts'
import { formatHostPort } from '../base/host-port.ts'
import { SETTINGS_LOOK_MS } from '../base/limits.ts'
import { roomLogger } from '../base/log.ts'
import { parseSha256 } from '../blob/digest.ts'
import { sumOfBlobs } from '../blob/source.ts'
import { parseCatalogName } from '../catalog/names.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { distinctBlobs } from '../catalog/walk.ts'
import { SignatureFolder } from '../config/signature-folder.ts'
import { makeStateFolder } from '../config/state.ts'
import type { DaemonStatus, FindAnswer, FindRequest, FoundEvent } from '../daemon/control-protocol.ts'
import { type ControlHandlers, serveControl } from '../daemon/control-server.ts'
import type { Door } from '../door/serve-door.ts'
import { Library } from '../store/library.ts'
import { acquireLock } from '../store/lock.ts'
import { PackedCatalogFolder } from '../store/packed-catalogs.ts'
import { LibraryPieces } from '../store/served-pieces.ts'
import { fingerprint } from '../trust/keys.ts'
import { wirePublication } from './daemon-supply.ts'
import { openDoor } from './door.ts'
import { FetchJobs } from './fetch-jobs.ts'
import { fleetsOf } from './fleet.ts'
import { FleetNode } from './fleet-node.ts'
import { followFile } from './follow-file.ts'
import { HolderSigner } from './holder-signer.ts'
import { type Machine, thisMachine } from './machine.ts'
import type { OrderedSupply } from './ordered-supply.ts'
import { openOutside } from './outside.ts'
import { preparePieces } from './prepare-pieces.ts'
import { ServedCatalogs } from './served-catalogs.ts'
import { settingsOf } from './settings-of.ts'
import { VERSION } from './version.ts'

const log = roomLogger('daemon')

/** What a daemon says once it serves. */
export interface DaemonReady {
  readonly fleets: readonly string[]
  /** Fingerprint of the machine's key. */
  readonly key: string
  /** UDP port of its bootstrap node. */
  readonly port: number
  /** TCP port of its lanes. */
  readonly lanePort: number
  /** `host:port`, each usable as `--bootstrap` on a machine that can reach it. */
  readonly addresses: readonly string[]
  readonly catalogs: readonly string[]
  /** What RCC_REMOTE_ORIGIN is set to, or undefined where rcc's door is shut. */
  readonly door: string | undefined
}

/**
 * Serve until `signal` aborts, then leave in order.
 *
 * @param port UDP port of the bootstrap node; undefined for that of the settings
 * @throws {HoloError} blame `locked`, code `daemon-running`; blame `input`: settings; blame `host`
 */
export async function runDaemon(
  port: number | undefined,
  onReady: (ready: DaemonReady) => void,
  signal: AbortSignal,
): Promise<void> {
  const machine = thisMachine()
  const settings = await settingsOf(machine, { port })
  const fleets = await fleetsOf(machine)
  await makeStateFolder(machine.state.directory)
  await using _only = await onlyDaemon(machine, signal)
  const packed = new PackedCatalogFolder(machine.state, { readOnly: false })
  const library = new Library(machine.roots, { packed, compression: settings.holotree.compression })
  const swept = library.sweep(systemClock.wallMs())
  if (swept > 0) log.info`removed ${swept} temporary files that killed runs had left`

  const served = new ServedCatalogs(library, new SignatureFolder(machine.state))
  const looked = Promise.withResolvers<void>()
  const following = served.follow(looked.resolve, signal)
  // Also where it was told to stop before the first look was through.
  following.then(looked.resolve, looked.reject)
  await looked.promise
  await using servedPieces = new LibraryPieces(library, served, { bytesMax: settings.limits.pieceStore })
  served.pieces = servedPieces
  const options = {
    machine,
    settings,
    fleets,
    mode: 'daemon',
    served,
    passing: { pieces: servedPieces, transit: served },
  } as const
  await using node = await FleetNode.start(options, signal)
  const passingOn = { exchange: node.exchange, transit: served }
  await using outside = openOutside({ machine, library, settings, passingOn }, async () => node)
  const signer = new HolderSigner(machine, library, served, { pieces: servedPieces })
  const jobs = new FetchJobs(machine, library, outside, signal)
  const reload = reloading(machine, port, node)
  const rooms = { node, served, outside, signer, jobs, reload }
  await using _control = await serveControl(machine.state.controlSocket, handlers(rooms))
  await using door = await openDoor(settings.door, {
    library,
    served,
    pieces: servedPieces,
    bring: (name) => jobs.bring(name),
    ended: signal,
  })
  const preparing = preparePieces(
    { served, pieces: servedPieces, storeBytes: settings.limits.pieceStore, clock: systemClock },
    signal,
  )
  onReady(readyOf(node, served, door))
  if (fleets.length === 0) log.warn`this machine belongs to no fleet yet: nobody can be served`
  const onSettings = async () => {
    log.info`settings.yaml has changed`
    await reload().catch((error: unknown) => log.error`settings.yaml is not taken up: ${messageOf(error)}`)
  }
  const ended = new AbortController()
  const either = AbortSignal.any([ended.signal, signal])
  void followFile(machine.settingsFile, SETTINGS_LOOK_MS, onSettings, systemClock, either)
  const working = Promise.all([following, preparing, signer.run(signal)])
  await working.finally(() => ended.abort(new Error('the daemon ends')))
  await jobs.settled()
  log.info`leaving`
}

async function onlyDaemon(machine: Machine, signal: AbortSignal): Promise<HeldLock> {
  try {
    return await acquireLock(machine.state.daemonLock, { waitMs: 0, shared: false }, signal)
  } catch (error) {
    if (!(error instanceof HoloError) || error.code !== 'lock-held') throw error
    throw new HoloError(`A daemon is already running for the library of ${machine.roots.robocorpHome}`, {
      code: 'daemon-running',
      blame: 'locked',
      hint: 'use it as it is, or stop it first',
      cause: error,
    })
  }
}

function readyOf(node: FleetNode, served: ServedCatalogs, door: Door | undefined): DaemonReady {
  return {
    fleets: node.fleets.map(({ name }) => name),
    key: node.fingerprint,
    port: portOf(node),
    lanePort: node.lanePort ?? 0,
    addresses: node.bootstrapAddresses.map(({ host, port }) => formatHostPort(host, port)),
    catalogs: served.catalogs().map(({ name }) => name),
    door: door?.url,
  }
}

function portOf(node: FleetNode): number {
  return node.bootstrapAddresses[0]?.port ?? 0
}

/** Takes up fleets and settings as they are on disk, one call after the other. */
function reloading(machine: Machine, port: number | undefined, node: FleetNode): () => Promise<void> {
  let last: Promise<void> = Promise.resolve()
  return () => {
    const next = last
      .catch(() => {})
      .then(async () => node.takePart(await fleetsOf(machine), await settingsOf(machine, { port })))
    last = next
    return next
  }
}

interface DaemonRooms {
  readonly node: FleetNode
  readonly served: ServedCatalogs
  readonly outside: OrderedSupply
  readonly signer: HolderSigner
  readonly jobs: FetchJobs
  /** Take up fleets and settings as they are on disk. */
  readonly reload: () => Promise<void>
}

function handlers({ node, served, outside, signer, jobs, reload }: DaemonRooms): ControlHandlers {
  const wishOf = ({ catalog, local, allowRollback, refresh }: FindRequest) => {
    if (refresh) outside.refresh()
    const known = local === undefined ? undefined : parseSha256(local)
    return [catalogNameOf(catalog), known, { allowRollback }] as const
  }
  return {
    status: (): DaemonStatus => ({
      version: VERSION,
      pid: process.pid,
      fleets: node.fleets.map(({ name }) => name),
      key: node.fingerprint,
      port: portOf(node),
      lanePort: node.lanePort ?? 0,
      catalogs: served.catalogs().map(({ name }) => name),
      published: served.published().map(({ signers, ...view }) => ({ ...view, signers: [...signers] })),
      peers: node.peers().map(({ machineKey, roundTripMs, ...peer }) => ({
        ...peer,
        key: Buffer.from(machineKey).toString('hex'),
        ...(roundTripMs === undefined ? {} : { roundTripMs }),
      })),
      substituters: outside.conditions(),
      sentBytes: node.sentBytes,
      fetching: jobs.underWay,
      leases: node.leases.list().map(({ name, holder }) => ({ catalog: name, holder: holder?.name ?? null })),
      banned: node.bans().map(({ key, name, reason, untilWallMs }) => ({
        name,
        fingerprint: fingerprint(key),
        key: Buffer.from(key).toString('hex'),
        reason: reason.message,
        code: reason.code,
        until: new Date(untilWallMs).toISOString(),
      })),
    }),
    find: async (request, inner): Promise<FindAnswer> => {
      const { catalog, warnings } = await jobs.find(...wishOf(request), inner)
      const { source, sha256, publication } = catalog
      const stored = Buffer.from(catalog.stored).toString('base64')
      return { source, sha256, stored, published: wirePublication(publication), warnings: [...warnings] }
    },
    fetch: (catalog, sha256) => jobs.start(catalogNameOf(catalog), sha256),
    bring: async (request, inner) => {
      const { catalog, warnings, missing, job } = await jobs.begin(...wishOf(request), inner)
      const found: FoundEvent = {
        event: 'found',
        source: catalog.source,
        published: wirePublication(catalog.publication),
        warnings: [...warnings],
        blobs: distinctBlobs(catalog.catalog).length,
        missing: sumOfBlobs(missing),
      }
      return { found, job }
    },
    reload: async () => {
      await reload()
      signer.lookAgain()
      log.info`now in ${node.fleets.length} fleets`
    },
  }
}

function catalogNameOf(text: string): CatalogName {
  const name = parseCatalogName(text)
  if (name !== undefined) return name
  throw new HoloError(`"${text}" is not the name of a catalog`, { code: 'catalog-name-invalid', blame: 'input' })
}
