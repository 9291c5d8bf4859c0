/**
 * A plan's writing by system calls, on this thread and, where it pays, a second one. Linux.
 *
 * This thread makes directories and links, and the other one places files in those that stand; then both do. It turns the event loop
 * between batches, so that signals and sockets get their turn.
 */
import * as fs from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname } from 'node:path'
import { nextTurn } from '../base/clock.ts'
import { HoloError, hostError } from '../base/errors.ts'
import { STAMP_LENGTH } from '../base/file-stamp.ts'
import { cString, EEXIST, errnoError, errnoName, libc } from '../base/libc.ts'
import { SECOND_THREAD_FILES_MIN } from '../base/limits.ts'
import { workerEntry } from '../base/worker-entry.ts'
import type { BlobTree } from '../blob/local.ts'
import type { BlobRef } from '../blob/source.ts'
import { PRIVATE_DIRECTORY_MODE } from '../catalog/layout.ts'
import { DirectoryCursor } from './directory-cursor.ts'
import { RESTORED_TIME_S } from './file-mode.ts'
import { NativePlacer, type PlacerPlaces } from './native-placer.ts'
import type { PlaceEnd, PlaceOrder } from './place-thread.ts'
import { PlacementWriter } from './placement-writer.ts'
import {
  BLOB_NOTED,
  BLOB_RENEWED,
  COULD_BE_RAW,
  FORM_GZIP,
  MODE_REFUSAL,
  NO_BLOB,
  NO_LINK,
  NO_REFLINK,
  type SharedPlacements,
  STOPPED,
  THREAD_STATE,
} from './placements.ts'
import type { FileStep, RestorePlan } from './plan.ts'
import { removeTree, removeUndecodable } from './remove-tree.ts'
import { countPlaced, type RestoreReport } from './report.ts'
import type { Placing, PlacingRun, UnusableBlobs, WayOf } from './run.ts'
import { spaceError } from './space-changed.ts'
import { METHODS } from './strategy.ts'
import { strategyLimits } from './strategy-limits.ts'
import { temporaryName } from './temporary-name.ts'

const DIRECTORIES_PER_TURN = 256

/** @returns the run, whose steps are to be called in order */
export function nativeRun(
  plan: RestorePlan,
  wayOf: WayOf,
  placing: Placing & { readonly tree: BlobTree },
  report: RestoreReport,
): PlacingRun {
  return new NativeRun(plan, wayOf, placing, report)
}

class NativeRun implements PlacingRun {
  readonly #libc = libc()
  readonly #places: PlacerPlaces
  readonly #writer: PlacementWriter
  readonly #placements: SharedPlacements
  readonly #thread: PlaceThread | undefined

  constructor(
    private readonly plan: RestorePlan,
    private readonly wayOf: WayOf,
    private readonly placing: Placing & { readonly tree: BlobTree },
    private readonly report: RestoreReport,
  ) {
    const { tree, blobs, verification } = placing
    // Started first: it takes some milliseconds to come up.
    const worthwhile = plan.totals.filesToPlace >= SECOND_THREAD_FILES_MIN && availableParallelism() > 1
    this.#thread = worthwhile ? new PlaceThread() : undefined
    this.#writer = new PlacementWriter(plan.steps, { tree, notes: blobs.notes })
    this.#placements = this.#writer.placements
    this.#places = {
      library: tree.directory,
      space: plan.paths.directory,
      spaceName: plan.spaceName,
      verification,
      umask: process.umask(),
    }
  }

  /** Clear what stands in the way, make directories, parents first, and links. */
  async prepare(signal: AbortSignal): Promise<void> {
    const { paths, clearRoot, steps } = this.plan
    if (clearRoot) removeTree(paths.directory)
    try {
      fs.mkdirSync(paths.directory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE })
    } catch (error) {
      throw spaceError(`make the directory ${paths.directory}`, error)
    }
    // It begins with the directories that stand while we make the others.
    this.#thread?.begin({ placements: this.#placements, places: this.#places })
    using cursor = new DirectoryCursor(paths.directory)
    let seen = 0
    for (const step of steps) {
      if (step.make) {
        if (step.path !== '') this.#makeDirectory(cursor, step.path)
        this.report.directoriesMade++
      }
      this.#clear(cursor, step)
      for (const { name, target } of step.links) this.#makeLink(cursor, step.path, name, target)
      this.report.linksMade += step.links.length
      this.#writer.add(step, (file) => this.wayOf(step, file))
      if (++seen % DIRECTORIES_PER_TURN === 0) await nextTurn()
      signal.throwIfAborted()
    }
  }

  async place(signal: AbortSignal): Promise<UnusableBlobs> {
    const { control } = this.#placements
    try {
      using placer = new NativePlacer(this.#placements, this.#places, 'm')
      while (await placer.placeBatch()) {
        await nextTurn()
        signal.throwIfAborted()
      }
    } catch (error) {
      Atomics.store(control, STOPPED, 1)
      await this.#thread?.settled(control)
      throw error
    }
    await this.#thread?.finished(control)
    signal.throwIfAborted()
    return this.#gather()
  }

  settle(): void {
    const times = new BigInt64Array([BigInt(RESTORED_TIME_S), 0n, BigInt(RESTORED_TIME_S), 0n])
    using cursor = new DirectoryCursor(this.plan.paths.directory)
    for (const { settle, path } of [...this.plan.steps].reverse()) {
      if (!settle || this.#libc.futimens(cursor.enter(path), new Uint8Array(times.buffer)) === 0) continue
      throw hostError(`set the time of ${this.plan.paths.directory}/${path}`, errnoError(this.#libc.errno()))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    Atomics.store(this.#placements.control, STOPPED, 1)
    await this.#thread?.settled(this.#placements.control)
  }

  #makeDirectory(cursor: DirectoryCursor, path: string): void {
    const slash = path.lastIndexOf('/')
    const parent = cursor.enter(path.slice(0, Math.max(0, slash)))
    if (this.#libc.mkdirat(parent, cString(path.slice(slash + 1)), PRIVATE_DIRECTORY_MODE) === 0) return
    throw spaceError(`make the directory ${this.plan.paths.directory}/${path}`, errnoError(this.#libc.errno()))
  }

  #clear(cursor: DirectoryCursor, { path, remove, removeUndecodable: undecodable }: RestorePlan['steps'][0]): void {
    if (remove.length === 0 && !undecodable) return
    // Below the descriptor, so that a link that appears meanwhile leads nowhere.
    const directory = `/proc/self/fd/${cursor.enter(path)}`
    for (const name of remove) removeTree(`${directory}/${name}`)
    this.report.removed += remove.length
    if (undecodable) removeUndecodable(directory)
  }

  /** Make a link, or replace a file or link of that name by it in one step. */
  #makeLink(cursor: DirectoryCursor, path: string, name: string, target: string): void {
    const directory = cursor.enter(path)
    const text = cString(target)
    const wanted = cString(name)
    if (this.#libc.symlinkat(text, directory, wanted) === 0) return
    const temporary = cString(temporaryName('l'))
    if (this.#libc.errno() === EEXIST) {
      this.#libc.unlinkat(directory, temporary, 0)
      const made = this.#libc.symlinkat(text, directory, temporary) === 0
      if (made && this.#libc.renameat(directory, temporary, directory, wanted) === 0) return
    }
    const error = errnoError(this.#libc.errno())
    this.#libc.unlinkat(directory, temporary, 0)
    throw spaceError(`make the link ${this.plan.paths.directory}/${path}/${name}`, error)
  }

  /** Count what the threads noted. */
  #gather(): UnusableBlobs {
    const { method, fileBlob, refusal } = this.#placements
    const corrupt = new Map<string, BlobRef>()
    const absent = new Map<string, BlobRef>()
    let file = 0
    for (const { files } of this.plan.steps) {
      for (const step of files) {
        const how = METHODS[(method[file] ?? 0) - 1]
        const { digest, sizeBytes } = step
        if (how === 'corrupt') corrupt.set(digest, { digest, sizeBytes })
        else if (how === 'absent') absent.set(digest, { digest, sizeBytes })
        else if (how !== undefined) countPlaced(this.report, how, step)
        this.#countRefusal(refusal[file] ?? 0)
        this.#noteVerified(step, fileBlob[file] ?? NO_BLOB)
        file++
      }
    }
    this.placing.blobs.notes?.flush()
    this.#countLimits()
    return { corrupt: [...corrupt.values()], absent: [...absent.values()] }
  }

  #countRefusal(errno: number): void {
    if (errno === 0) return
    const name = errno === MODE_REFUSAL ? 'MODE' : errnoName(errno)
    this.report.refusals[name] = (this.report.refusals[name] ?? 0) + 1
  }

  #noteVerified({ digest }: FileStep, blob: number): void {
    const { blobState, blobForm, blobStamp } = this.#placements
    if (blob === NO_BLOB || blobState[blob] !== BLOB_RENEWED) return
    this.placing.blobs.notes?.add(
      digest,
      blobForm[blob] === FORM_GZIP ? 'gzip' : 'identity',
      blobStamp,
      blob * STAMP_LENGTH,
    )
    blobState[blob] = BLOB_NOTED
  }

  #countLimits(): void {
    const { control } = this.#placements
    const nameOf = (errno: number | undefined) => (errno ? errnoName(errno) : undefined)
    const obstacles = {
      reflink: nameOf(control[NO_REFLINK]),
      link: nameOf(control[NO_LINK]),
      couldBeRaw: control[COULD_BE_RAW] ?? 0,
    }
    const places = { library: this.#places.library, base: dirname(this.#places.space) }
    this.report.limits.push(...strategyLimits(this.report, obstacles, places))
  }
}

/** The other thread, from its start to its end. */
class PlaceThread {
  readonly #worker = new Worker(workerEntry('restore/place-thread'))
  readonly #end = Promise.withResolvers<PlaceEnd>()

  constructor() {
    this.#worker.onmessage = (event: MessageEvent<PlaceEnd>) => this.#end.resolve(event.data)
    this.#worker.onerror = (event) => this.#end.resolve({ failed: true, message: event.message, error: undefined })
  }

  begin(order: PlaceOrder): void {
    this.#worker.postMessage(order)
  }

  /** Wait until it places no more, and end it. One that has not begun by now is not waited for. */
  async settled(control: Int32Array): Promise<PlaceEnd> {
    const began = Atomics.compareExchange(control, THREAD_STATE, 0, 2) === 1
    const end: PlaceEnd = began ? await this.#end.promise : { failed: false }
    this.#worker.terminate()
    return end
  }

  /** @throws what made it fail */
  async finished(control: Int32Array): Promise<void> {
    const end = await this.settled(control)
    if (!end.failed) return
    if (end.error === undefined) throw new Error(`the second thread of the restore failed: ${end.message}`)
    const { code, blame, hint } = end.error
    throw new HoloError(end.message, { code, blame, ...(hint === undefined ? {} : { hint }) })
  }
}
