/**
 * A daemon's word, as holder, for what it holds and nobody has signed: in the background, one catalog after the other.
 *
 * Where its piece table is not made yet, every blob is read once, away from the thread that runs the network. Until the word
 * is there the catalog is served without: members then go by the membership that this machine has proved to them, and
 * machines that trust by name only do not take it.
 */
import { type Clock, systemClock } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import { HOLDER_SIGN_REST } from '../base/limits.ts'
import { roomLogger } from '../base/log.ts'
import { sha256Of } from '../blob/digest.ts'
import { SignatureFolder } from '../config/signature-folder.ts'
import type { HeldCatalog } from '../peer/messages.ts'
import type { Library } from '../store/library.ts'
import type { LibraryPieces } from '../store/served-pieces.ts'
import { tagsOf } from '../trust/catalog-signature.ts'
import { holderDuty } from '../trust/holder-duty.ts'
import { keyHex } from '../trust/key-text.ts'
import { ownWord } from '../trust/publication.ts'
import { machineKey, underTrustLock } from './keys.ts'
import { localCatalog } from './local-catalog.ts'
import type { Machine } from './machine.ts'
import { computedTables, type HeldWhole, type PieceTables, signHeld } from './signing.ts'
import { trustPolicy } from './trust.ts'

const log = roomLogger('app')

/** What is held, and when that changes. */
export interface HeldCatalogs {
  catalogs(): readonly HeldCatalog[]
  /** @returns ends the subscription */
  subscribe(listener: () => void): () => void
}

export interface HolderSignerOptions {
  /** Where tables are made; one that cannot be is computed here, with rests, which tells what is wrong with which blob. */
  readonly pieces?: Pick<LibraryPieces, 'prepare'>
  readonly clock?: Clock
}

export class HolderSigner {
  /** Catalogs that were seen to, by name and content. */
  readonly #seen = new Set<string>()
  readonly #tables: PieceTables
  #wake = () => {}

  constructor(
    private readonly machine: Machine,
    private readonly library: Library,
    private readonly held: HeldCatalogs,
    { pieces, clock = systemClock }: HolderSignerOptions = {},
  ) {
    const computed = computedTables(library, restingTurn(clock))
    this.#tables = async (whole, signal) => {
      const made = await pieces?.prepare(whole.sha256, { frames: false }, signal)
      return made === undefined ? computed(whole, signal) : sha256Of(made)
    }
  }

  /** Look at all of them again: fleets, and with them who is to believe this machine, have changed. */
  lookAgain(): void {
    this.#seen.clear()
    this.#wake()
  }

  /** Sign what comes until `signal` aborts. What cannot be signed is a line in the log. */
  async run(signal: AbortSignal): Promise<void> {
    const unsubscribe = this.held.subscribe(() => this.#wake())
    const wake = () => this.#wake()
    signal.addEventListener('abort', wake, { once: true })
    try {
      while (!signal.aborted) {
        const changed = new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        await this.look(signal)
        await changed
      }
    } finally {
      unsubscribe()
      signal.removeEventListener('abort', wake)
    }
  }

  /** Sign what is held by now and was not seen to yet. */
  async look(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const next = this.held.catalogs().find((each) => !this.#seen.has(idOf(each)))
      if (next === undefined) return
      await this.#see(next, signal)
    }
  }

  async #see(held: HeldCatalog, signal: AbortSignal): Promise<void> {
    this.#seen.add(idOf(held))
    try {
      const whole = localCatalog(held.name, this.library, ownWord, () => {})
      // Replaced since: it is announced anew.
      if (whole?.sha256 === held.sha256) await this.#giveWord(whole, signal)
    } catch (error) {
      if (signal.aborted) return
      if (!(error instanceof HoloError)) throw error
      log.warning`${held.name} is served without a signature of this machine: ${error.message}`
    }
  }

  async #giveWord(whole: HeldWhole, signal: AbortSignal): Promise<void> {
    const { machine } = this
    const folder = new SignatureFolder(machine.state)
    const key = await machineKey(machine)
    const { secrets, isRevoked } = await trustPolicy(machine, { allowRollback: false })
    const fitting = folder.fitting(whole.name, whole.sha256)
    const duty = holderDuty(fitting, { ownKey: key.publicKey, secrets, isRevoked })
    if (duty === 'sign') {
      await signHeld(machine, whole, { key, role: 'holder', tables: this.#tables, unlessSigned: true }, signal)
      log.info`signed ${whole.name} as its holder`
    } else if (duty === 'tag') {
      const own = fitting.filter((each) => keyHex(each.key.publicKey) === keyHex(key.publicKey))
      const memberTags = tagsOf(key.publicKey, secrets)
      await underTrustLock(machine, async () => folder.keep(own.map((each) => ({ ...each, memberTags }))), signal)
    } else if (duty === 'disowned') {
      log.warning`${whole.name} is signed by a key that is revoked here, so this machine does not sign it`
    }
  }
}

/** A rest after each turn, as long as `HOLDER_SIGN_REST` says. */
function restingTurn(clock: Clock): (signal: AbortSignal) => Promise<void> {
  let sinceMs = clock.nowMs()
  return async (signal) => {
    // Some ms of work; more only where nothing was hashed since the last catalog.
    const workedMs = Math.min(clock.nowMs() - sinceMs, 100)
    await clock.sleep(workedMs * HOLDER_SIGN_REST, signal)
    sinceMs = clock.nowMs()
  }
}

function idOf({ name, sha256 }: HeldCatalog): string {
  return `${name} ${sha256}`
}
