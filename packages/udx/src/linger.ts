/**
 * What stays of streams that have closed: for a few seconds, a latecomer's packet is answered with the last word.
 *
 * Without it, a lost final ack would leave the remote retransmitting its END to nobody, and a lost reset would leave it
 * open. Bounded in number, time and answers; never keeps a process alive.
 */
import { Alarm, type Clock } from './clock.ts'
import { FLAG_DATA, FLAG_DESTROY, FLAG_END, FLAG_HEARTBEAT } from './codec.ts'
import type { PacketPort, Path } from './path.ts'

/** Longer than a remote of ours or a native one goes on with a packet that nobody answers: about 13 s. */
const LINGER_MS = 14_000
const FAREWELLS_MAX = 1024
const ANSWERS_MAX = 32
/** A reset is repeated unasked: nobody acks it. */
const REPEATS = 2
const REPEAT_MS_MIN = 25

/** What is left of a stream that has closed: the packet that answers latecomers. */
export interface Farewell {
  packet: Uint8Array
  path: Path
  /** How long an answer takes, in milliseconds. */
  rttMs: number
  /** True after a reset: the remote is told again even without asking. */
  destroyed: boolean
}

interface Entry extends Farewell {
  until: number
  answers: number
  repeats: number
  repeatAt: number
  gapMs: number
}

export class Linger {
  readonly #clock: Clock
  readonly #entries = new Map<number, Entry>()
  readonly #alarm: Alarm

  constructor(clock: Clock) {
    this.#clock = clock
    this.#alarm = new Alarm(clock, () => this.#onAlarm())
  }

  /** Keep `farewell` for latecomers that address stream `id`. */
  add(id: number, farewell: Farewell): void {
    const now = this.#clock.now()
    const repeats = farewell.destroyed ? REPEATS : 0
    const gapMs = Math.max(REPEAT_MS_MIN, 2 * farewell.rttMs)
    const repeatAt = repeats > 0 ? now + gapMs : Number.POSITIVE_INFINITY
    this.#entries.delete(id)
    if (this.#entries.size >= FAREWELLS_MAX) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest)
        break
      }
    }
    this.#entries.set(id, { ...farewell, until: now + LINGER_MS, answers: 0, repeats, repeatAt, gapMs })
    this.#arm()
  }

  /** The id is in use again. */
  delete(id: number): void {
    this.#entries.delete(id)
  }

  /** Answer a packet for stream `id`. @returns false when nothing is known of that stream */
  answer(id: number, flags: number): boolean {
    const entry = this.#entries.get(id)
    if (entry === undefined) return false
    // A pure ack needs no answer: two sides that linger would talk for ever.
    const asks = (flags & (FLAG_DATA | FLAG_END | FLAG_HEARTBEAT)) !== 0 && (flags & FLAG_DESTROY) === 0
    if (asks && entry.answers < ANSWERS_MAX) {
      entry.answers++
      send(entry)
    }
    return true
  }

  /** The socket is about to close: say every last word on it once more, and forget it. */
  leave(port: PacketPort): void {
    for (const [id, entry] of this.#entries) {
      if (entry.path.port !== port) continue
      send(entry)
      this.#entries.delete(id)
    }
    if (this.#entries.size === 0) this.#alarm.stop()
  }

  #onAlarm(): void {
    const now = this.#clock.now()
    for (const [id, entry] of this.#entries) {
      if (entry.until <= now) this.#entries.delete(id)
      else if (entry.repeatAt <= now) {
        send(entry)
        entry.repeats--
        entry.gapMs *= 8
        entry.repeatAt = entry.repeats > 0 ? now + entry.gapMs : Number.POSITIVE_INFINITY
      }
    }
    this.#arm()
  }

  #arm(): void {
    let at = Number.POSITIVE_INFINITY
    for (const entry of this.#entries.values()) at = Math.min(at, entry.until, entry.repeatAt)
    if (at === Number.POSITIVE_INFINITY) this.#alarm.stop()
    else this.#alarm.set(at)
  }
}

function send(entry: Entry): void {
  const { path } = entry
  path.port.queue(entry.packet, path.remotePort, path.remoteHost)
  path.port.flush()
}
