/**
 * Notices when far more datagrams than a fleet sends come in on our ports, so that the log can say from where.
 *
 * Packets of open links are not counted, only what knocks: DHT messages, and whatever strangers send. Nothing is done
 * about it: what a stranger can make us do is bounded where it is done.
 */
import type HyperDHT from 'hyperdht'
import type { Clock } from '../base/clock.ts'
import { roomLogger } from '../base/log.ts'

/** A daemon in a fleet of thousands hears some ten a second. */
const FLOOD_PER_SECOND = 2_000
/** Senders told apart within one second: a flood may forge more. */
const SENDERS_MAX = 256
const TELL_EVERY_MS = 60_000

export interface Flood {
  readonly perSecond: number
  /** Who sent most of them, as far as addresses are true. */
  readonly host: string
}

/** Tell of floods that come in on the sockets of `dht` from now on. */
export async function watchForFloods(dht: HyperDHT, clock: Clock): Promise<void> {
  const [watch, log] = [new FloodWatch(), roomLogger('discovery')]
  try {
    await dht.bind()
  } catch {
    // Whoever made it hears of that too.
    return
  }
  for (const socket of [dht.io.serverSocket, dht.io.clientSocket])
    socket?.on('message', (_bytes, { host }) => {
      const flood = watch.note(host, clock.nowMs())
      if (flood === undefined) return
      const { port } = socket.address()
      log.warn(`UDP port ${port} gets ${flood.perSecond} packets a second of no link, most from ${flood.host}`)
    })
}

/** Pure: counts by the second. */
export class FloodWatch {
  #secondMs = Number.NEGATIVE_INFINITY
  #count = 0
  #toldMs = Number.NEGATIVE_INFINITY
  readonly #senders = new Map<string, number>()

  /** A datagram has come in. @returns what is to be told of the second that has just ended, once a minute at most */
  note(host: string, nowMs: number): Flood | undefined {
    let flood: Flood | undefined
    if (nowMs - this.#secondMs >= 1_000) {
      if (this.#count >= FLOOD_PER_SECOND && nowMs - this.#toldMs >= TELL_EVERY_MS) {
        this.#toldMs = nowMs
        const [most] = [...this.#senders].sort((left, right) => right[1] - left[1])
        flood = { perSecond: this.#count, host: most?.[0] ?? 'nobody' }
      }
      this.#secondMs = nowMs
      this.#count = 0
      this.#senders.clear()
    }
    this.#count++
    const known = this.#senders.get(host)
    if (known !== undefined || this.#senders.size < SENDERS_MAX) this.#senders.set(host, (known ?? 0) + 1)
    return flood
  }
}
