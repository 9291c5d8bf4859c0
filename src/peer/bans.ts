/**
 * Whom this process shuts out for what they did: by the keys of their links and machines, for a time.
 *
 * Pure but for the clock that is given. Keys cost a stranger nothing, so the oldest bans give way to new ones.
 */
import type { Clock } from '../base/clock.ts'
import type { HoloError } from '../base/errors.ts'
import { BAN_MS, BANNED_KEYS_MAX } from '../base/limits.ts'

export interface Ban {
  /** Of the machine where it is known, else of the link, 32 bytes. */
  readonly key: Uint8Array
  /** `peer k5w3-8xqh-9m2p (10.0.0.7:49738)` */
  readonly name: string
  readonly reason: HoloError
  /** Wall clock, for people. */
  readonly untilWallMs: number
}

interface Entry extends Ban {
  readonly untilMs: number
}

export class Bans {
  /** By key in hex; a machine and its links are several entries. */
  readonly #entries = new Map<string, Entry>()

  constructor(private readonly clock: Clock) {}

  /** @param keys of the machine first, where it is known, and of the link */
  add(keys: readonly Uint8Array[], name: string, reason: HoloError): void {
    const [key] = keys
    if (key === undefined) return
    const untilMs = this.clock.nowMs() + BAN_MS
    const entry = { key: Uint8Array.from(key), name, reason, untilMs, untilWallMs: this.clock.wallMs() + BAN_MS }
    for (const each of keys) {
      this.#entries.delete(hex(each))
      this.#entries.set(hex(each), entry)
    }
    for (const each of this.#entries.keys()) if (this.#entries.size > BANNED_KEYS_MAX) this.#entries.delete(each)
  }

  /** @returns why the key is shut out, undefined where it is not (any more) */
  find(key: Uint8Array): HoloError | undefined {
    const entry = this.#entries.get(hex(key))
    if (entry === undefined) return undefined
    if (entry.untilMs > this.clock.nowMs()) return entry.reason
    this.#entries.delete(hex(key))
    return undefined
  }

  /** Each ban once, the newest first. */
  list(): Ban[] {
    const nowMs = this.clock.nowMs()
    const counting = [...new Set(this.#entries.values())].filter(({ untilMs }) => untilMs > nowMs)
    return counting.reverse().map(({ key, name, reason, untilWallMs }) => ({ key, name, reason, untilWallMs }))
  }
}

function hex(key: Uint8Array): string {
  return Buffer.from(key).toString('hex')
}
