/**
 * A plan's writing by what every system has: `node:fs`, one thread. macOS, Windows, and blobs that are no files.
 *
 * Guarantees the same as the run by system calls, except that a link is looked for by name before a directory is
 * written to, not by descriptor.
 */
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { nextTurn } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import type { BlobRef } from '../blob/source.ts'
import { PRIVATE_DIRECTORY_MODE } from '../catalog/layout.ts'
import { RESTORED_TIME_S } from './file-mode.ts'
import type { DirectoryStep, RestorePlan } from './plan.ts'
import { PortablePlacer } from './portable-placer.ts'
import { removeTree, removeUndecodable } from './remove-tree.ts'
import { countPlaced, type RestoreReport } from './report.ts'
import type { Placing, PlacingRun, UnusableBlobs, WayOf } from './run.ts'
import { spaceError } from './space-changed.ts'
import { strategyLimits } from './strategy-limits.ts'
import { temporaryName } from './temporary-name.ts'

/** @returns the run, whose steps are to be called in order */
export function portableRun(plan: RestorePlan, wayOf: WayOf, placing: Placing, report: RestoreReport): PlacingRun {
  return new PortableRun(plan, wayOf, placing, report)
}

class PortableRun implements PlacingRun {
  readonly #placer: PortablePlacer
  readonly #corrupt = new Map<string, BlobRef>()
  readonly #absent = new Map<string, BlobRef>()

  constructor(
    private readonly plan: RestorePlan,
    private readonly wayOf: WayOf,
    private readonly placing: Placing,
    private readonly report: RestoreReport,
  ) {
    this.#placer = new PortablePlacer(placing, plan)
  }

  async prepare(signal: AbortSignal): Promise<void> {
    const { paths, clearRoot, steps } = this.plan
    if (clearRoot) removeTree(paths.directory)
    makeDirectory(paths.directory, true)
    const real = fs.realpathSync(paths.directory)
    for (const step of steps) {
      signal.throwIfAborted()
      const directory = join(paths.directory, step.path)
      if (step.make) {
        if (step.path !== '') {
          checkReal(real, dirname(step.path), dirname(directory))
          makeDirectory(directory, false)
        }
        this.report.directoriesMade++
      }
      if (step.remove.length + step.links.length > 0 || step.removeUndecodable) checkReal(real, step.path, directory)
      for (const name of step.remove) removeTree(join(directory, name))
      this.report.removed += step.remove.length
      if (step.removeUndecodable) removeUndecodable(directory)
      for (const { name, target } of step.links) makeLink(directory, name, target)
      this.report.linksMade += step.links.length
    }
  }

  async place(signal: AbortSignal): Promise<UnusableBlobs> {
    const real = fs.realpathSync(this.plan.paths.directory)
    for (const step of this.plan.steps) {
      if (step.files.length === 0) continue
      const directory = join(this.plan.paths.directory, step.path)
      checkReal(real, step.path, directory)
      await this.#placeFiles(step, directory, signal)
      // The work above is synchronous: sockets and signals get their turn here.
      await nextTurn()
    }
    this.placing.blobs.notes?.flush()
    this.#placer.countRefusals(this.report)
    const library = this.placing.blobs.tree?.directory ?? 'the library'
    const places = { library, base: dirname(this.plan.paths.directory) }
    this.report.limits.push(...strategyLimits(this.report, this.#placer.obstacles, places))
    return { corrupt: [...this.#corrupt.values()], absent: [...this.#absent.values()] }
  }

  async #placeFiles(step: DirectoryStep, directory: string, signal: AbortSignal): Promise<void> {
    for (const file of step.files) {
      signal.throwIfAborted()
      const { digest, sizeBytes } = file
      const method = await this.#placer.place(file, this.wayOf(step, file), directory, signal)
      if (method === 'corrupt') this.#corrupt.set(digest, { digest, sizeBytes })
      else if (method === 'absent') this.#absent.set(digest, { digest, sizeBytes })
      else countPlaced(this.report, method, file)
    }
  }

  settle(): void {
    for (const { settle, path } of [...this.plan.steps].reverse()) {
      const directory = join(this.plan.paths.directory, path)
      try {
        if (settle) fs.utimesSync(directory, RESTORED_TIME_S, RESTORED_TIME_S)
      } catch (error) {
        throw spaceError(`set the time of ${directory}`, error)
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/**
 * A directory that the plan takes for real must still be one, and so must all above it up to the space: a robot that
 * runs in the space could have put a link there since.
 */
function checkReal(realRoot: string, path: string, directory: string): void {
  const expected = path === '' || path === '.' ? realRoot : join(realRoot, path)
  let actual: string
  try {
    actual = fs.realpathSync(directory)
  } catch (error) {
    throw spaceError(`enter ${directory}`, error)
  }
  if (actual === expected) return
  throw new HoloError(`${directory} became a link to ${actual} while it was restored`, {
    code: 'space-changed',
    blame: 'host',
    hint: 'stop what runs in this space, then run the same command again',
  })
}

function makeDirectory(directory: string, recursive: boolean): void {
  try {
    fs.mkdirSync(directory, { recursive, mode: PRIVATE_DIRECTORY_MODE })
  } catch (error) {
    throw spaceError(`make the directory ${directory}`, error)
  }
}

/** Make a link, or replace a file or link of that name by it in one step. */
function makeLink(directory: string, name: string, target: string): void {
  const temporary = join(directory, temporaryName('l'))
  try {
    fs.symlinkSync(target, temporary)
    fs.renameSync(temporary, join(directory, name))
  } catch (error) {
    fs.rmSync(temporary, { force: true })
    throw spaceError(`make the link ${join(directory, name)}`, error)
  }
}
