/**
 * Peers that could not be connected with: each rests before it is tried again, ever longer.
 *
 * An announcement outlives its maker by up to twenty minutes in the DHT, so every look-up finds the dead again. Pure but
 * for the randomness of its jitter, which keeps machines that lost the same peer from trying it at the same moments.
 */
import { RESTING_PEERS_MAX } from '../base/limits.ts'
import type { Random } from '../base/random.ts'

/** After the first failure, doubled with each further one. A peer that is back calls by itself. */
const REST_MS_MIN = 2_000
const REST_MS_MAX = 600_000

export class RestingPeers {
  readonly #resting = new Map<string, { failures: number; untilMs: number }>()

  constructor(private readonly random: Random) {}

  get size(): number {
    return this.#resting.size
  }

  failed(publicKey: Uint8Array, nowMs: number): void {
    const key = keyOf(publicKey)
    const failures = (this.#resting.get(key)?.failures ?? 0) + 1
    const restMs = Math.min(REST_MS_MAX, REST_MS_MIN * 2 ** (failures - 1))
    // Set anew, so that the order is that of the last failure and the oldest are forgotten.
    this.#resting.delete(key)
    this.#resting.set(key, { failures, untilMs: nowMs + restMs * (0.75 + this.random.next() / 2) })
    for (const oldest of this.#resting.keys()) {
      if (this.#resting.size <= RESTING_PEERS_MAX) break
      this.#resting.delete(oldest)
    }
  }

  /** It is connected, whoever of the two has called. */
  succeeded(publicKey: Uint8Array): void {
    this.#resting.delete(keyOf(publicKey))
  }

  isResting(publicKey: Uint8Array, nowMs: number): boolean {
    const resting = this.#resting.get(keyOf(publicKey))
    return resting !== undefined && nowMs < resting.untilMs
  }

  /** Forget all: our own network has changed, so it may have been our fault. */
  clear(): void {
    this.#resting.clear()
  }
}

function keyOf(publicKey: Uint8Array): string {
  return Buffer.from(publicKey).toString('hex')
}
