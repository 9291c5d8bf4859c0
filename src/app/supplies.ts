/**
 * The supplies of one restore, opened only when they are asked, in this order: the hololib.zip beside robot.yaml, the
 * daemon of this library, peers and substituters as the settings order them. One that fails is passed over for the next.
 */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { HoloError, messageOf } from '../base/errors.ts'
import { roomLogger } from '../base/log.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { FetchTotals } from '../blob/fetch-all.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { DaemonUnusableError } from '../daemon/daemon-unusable-error.ts'
import type { Library } from '../store/library.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import type { Machine } from './machine.ts'
import type { Bringing, FetchProgress, FoundEnvironment, Supply } from './supply.ts'

const log = roomLogger('app')
const BROUGHT = Symbol('it is in the library')

export interface SuppliesOptions {
  readonly machine: Machine
  readonly library: Library
  /** Absolute path. */
  readonly robotFile: string
  /** Only what lies on this machine. */
  readonly offline: boolean
  /** Let a daemon ask again what it remembers of its substituters. */
  readonly refresh: boolean
  /** As `TrustOptions`. */
  readonly allowRollback: boolean
}

type Opener = (signal: AbortSignal) => Promise<Supply | undefined>

export class Supplies implements AsyncDisposable {
  readonly #options: SuppliesOptions
  readonly #openers: readonly Opener[]
  readonly #opened = new Map<Opener, Supply | undefined>()

  constructor(options: SuppliesOptions) {
    const { machine, library, robotFile, offline, refresh, allowRollback } = options
    this.#options = options
    // Each is loaded only when it is needed: a restore that finds everything at home does not pay for a swarm.
    const zip: Opener = async () => {
      const path = join(dirname(robotFile), 'hololib.zip')
      if (!existsSync(path)) return undefined
      const { openZipSupply } = await import('./zip-supply.ts')
      return openZipSupply(path, machine, library)
    }
    const daemon: Opener = async (signal) => {
      // The address of a pipe, on Windows, is no file.
      if (process.platform !== 'win32' && !existsSync(machine.state.controlSocket)) return undefined
      const { openDaemonSupply } = await import('./daemon-supply.ts')
      return openDaemonSupply(machine, { refresh, allowRollback }, signal)
    }
    const outside: Opener = async (signal) => {
      const { openOwnOutside } = await import('./outside.ts')
      return openOwnOutside(machine, library, { allowRollback }, signal)
    }
    this.#openers = offline ? [zip] : [zip, daemon, outside]
  }

  /**
   * Ask each supply in turn for the catalog.
   *
   * @param local as `Supply.find`
   * @throws {HoloError} blame `missing` where none has it, blame `source` where those who have it fail, blame `trust` where
   *   they are not trusted
   */
  find(name: CatalogName, local: Sha256Digest | undefined, signal: AbortSignal): Promise<FoundEnvironment> {
    return this.#ask(name, (supply) => supply.find(name, local, signal), signal)
  }

  /**
   * Bring the catalog and its blobs into the library from the first supply that can; what it lacks comes from the next.
   *
   * @param totals what the call does is added to it, also when it throws
   * @throws {HoloError} as `find`
   */
  async fetch(
    catalog: VerifiedCatalog,
    totals: FetchTotals,
    onProgress: FetchProgress,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#ask(
      catalog.name,
      async (supply) => {
        await supply.fetch(catalog, totals, onProgress, signal)
        return true
      },
      signal,
    )
  }

  /**
   * Find the environment, and fetch it at once where the first supply that has it can do both in one go.
   *
   * @returns undefined where it has been brought; else what `fetch` is to bring
   * @throws {HoloError} as `find` and `fetch`
   */
  async bring(
    name: CatalogName,
    local: Sha256Digest | undefined,
    bringing: Bringing,
    signal: AbortSignal,
  ): Promise<FoundEnvironment | undefined> {
    const ask = async (supply: Supply) => {
      if (supply.bring === undefined) return await supply.find(name, local, signal)
      await supply.bring(name, local, bringing, signal)
      return BROUGHT
    }
    const answer = await this.#ask(name, ask, signal)
    return answer === BROUGHT ? undefined : answer
  }

  async #ask<Answer>(
    name: CatalogName,
    question: (supply: Supply) => Promise<Answer | undefined>,
    signal: AbortSignal,
  ): Promise<Answer> {
    let failure: HoloError | undefined
    for (const opener of this.#openers) {
      let supply: Supply | undefined
      try {
        supply = await this.#open(opener, signal)
        if (supply === undefined) continue
        const answer = await question(supply)
        if (answer !== undefined) return answer
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof HoloError)) throw error
        const unusable = error instanceof DaemonUnusableError
        if (!unusable && (supply?.final || error.blame === 'host')) throw error
        log.info`${supply?.label ?? 'a source'} is passed over: ${messageOf(error)}`
        // That one is not trusted says more than that others have nothing.
        if (failure?.blame !== 'trust') failure = error
      }
    }
    throw failure ?? this.#nowhere(name)
  }

  async #open(opener: Opener, signal: AbortSignal): Promise<Supply | undefined> {
    if (!this.#opened.has(opener)) this.#opened.set(opener, await opener(signal))
    return this.#opened.get(opener)
  }

  #nowhere(name: CatalogName): HoloError {
    return new HoloError(`The environment ${name} is not in the library ${this.#options.machine.roots.hololib}`, {
      code: 'not-in-library',
      blame: 'missing',
      hint: 'run the same command without --offline, or let rcc build it',
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const supply of [...this.#opened.values()].reverse()) await supply?.[Symbol.asyncDispose]()
  }
}
