/**
 * Addresses where the fleet may be found, ranked: those of settings and invites, and those heard on the LAN.
 *
 * Pure but for the randomness of its jitter. Who answered comes first, the fastest in front; then those heard, which
 * were up a moment ago; then those configured. Who does not answer is asked ever less often, and one that was only
 * heard is forgotten after some failures, until it is heard again.
 */
import type { HostPort } from '../base/host-port.ts'
import { HEARD_ADDRESSES_MAX } from '../base/limits.ts'
import type { Random } from '../base/random.ts'

/** Asked at the same time: dead ones among them must not hold up the next. */
const AT_ONCE_MAX = 16
/** After the first failure, doubled with each further one. */
const RETRY_MS_MIN = 1_000
const RETRY_MS_MAX = 300_000
/** One that answers is asked again after so long, to know when it is gone. */
const RECHECK_MS = 300_000
/** A heard one that failed so often is forgotten: about half a minute. */
const FAILURES_MAX = 5

export type Origin = 'configured' | 'heard'

interface Candidate {
  readonly address: HostPort
  origin: Origin
  failures: number
  /** Not asked before. */
  dueMs: number
  asking: boolean
  /** Round trip of the last answer; undefined where the last question had none. */
  answeredMs: number | undefined
}

export class Candidates {
  readonly #known = new Map<string, Candidate>()

  constructor(private readonly random: Random) {}

  get size(): number {
    return this.#known.size
  }

  /** @returns whether it is to be asked now: it was not known, or has been heard after it had failed */
  add(address: HostPort, origin: Origin, nowMs: number): boolean {
    const key = keyOf(address)
    const known = this.#known.get(key)
    if (known === undefined) {
      const heard = [...this.#known.values()].filter((each) => each.origin === 'heard')
      if (origin === 'heard' && heard.length >= HEARD_ADDRESSES_MAX) {
        const worst = heard.sort(byRank).at(-1)
        if (worst !== undefined) this.#known.delete(keyOf(worst.address))
      }
      const fresh = { address, origin, failures: 0, dueMs: nowMs, asking: false, answeredMs: undefined }
      this.#known.set(key, fresh)
      return true
    }
    if (origin === 'configured') known.origin = origin
    const failing = known.failures > 0 && !known.asking
    // What was heard was up a moment ago; but a copy of it may come from anybody, at any rate.
    if (failing && origin === 'heard') known.dueMs = Math.min(known.dueMs, nowMs + RETRY_MS_MIN)
    return failing && known.dueMs <= nowMs
  }

  /** Those to ask now, the best first; each must be answered with `succeeded` or `failed`. */
  due(nowMs: number): readonly HostPort[] {
    const asking = [...this.#known.values()].filter((each) => each.asking).length
    const due = [...this.#known.values()].filter((each) => !each.asking && each.dueMs <= nowMs)
    const chosen = due.sort(byRank).slice(0, Math.max(0, AT_ONCE_MAX - asking))
    for (const candidate of chosen) candidate.asking = true
    return chosen.map(({ address }) => address)
  }

  succeeded(address: HostPort, nowMs: number, tookMs: number): void {
    const candidate = this.#known.get(keyOf(address))
    if (candidate === undefined) return
    Object.assign(candidate, { asking: false, failures: 0, answeredMs: tookMs })
    candidate.dueMs = nowMs + this.#jittered(RECHECK_MS)
  }

  /** @returns whether it has been forgotten */
  failed(address: HostPort, nowMs: number): boolean {
    const key = keyOf(address)
    const candidate = this.#known.get(key)
    if (candidate === undefined) return true
    candidate.asking = false
    candidate.answeredMs = undefined
    candidate.failures++
    if (candidate.origin === 'heard' && candidate.failures >= FAILURES_MAX) return this.#known.delete(key)
    candidate.dueMs = nowMs + this.#jittered(Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** (candidate.failures - 1)))
    return false
  }

  /** Ask all again now, for instance since our own address has changed. */
  restart(nowMs: number): void {
    for (const candidate of this.#known.values()) candidate.dueMs = Math.min(candidate.dueMs, nowMs)
  }

  /** When the next one is due; undefined where there is none. */
  get nextDueMs(): number | undefined {
    const waiting = [...this.#known.values()].filter(({ asking }) => !asking).map(({ dueMs }) => dueMs)
    return waiting.length === 0 ? undefined : Math.min(...waiting)
  }

  #jittered(ms: number): number {
    return ms * (0.75 + this.random.next() / 2)
  }
}

function byRank(left: Candidate, right: Candidate): number {
  const rank = ({ answeredMs, failures, origin }: Candidate) =>
    answeredMs !== undefined ? 0 : failures > 0 ? 2 + failures : origin === 'heard' ? 1 : 2
  return rank(left) - rank(right) || (left.answeredMs ?? 0) - (right.answeredMs ?? 0)
}

function keyOf({ host, port }: HostPort): string {
  return `${host}:${port}`
}
