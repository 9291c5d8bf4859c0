/**
 * The members at the ends of our connections: one connection each, and at times a spare one.
 *
 * Two machines that call each other at the same time have two connections. Were each to part with the one that came first
 * to it, both would be gone wherever they came in another order at either side. So the side with the greater key chooses, and
 * the other one keeps both until it hears of that. A peer that comes back while its old link still hangs has two as well:
 * there the new one counts, on either side.
 */
import type { PeerConnection } from './connection.ts'

export class Members {
  /** By the key of their link, in hex: the daemon and a command of one machine are two members. */
  readonly #current = new Map<string, PeerConnection>()
  /** What a newer connection has taken the place of, on the side that does not choose. */
  readonly #spare = new Map<string, PeerConnection>()

  /** One a member. */
  values(): MapIterator<PeerConnection> {
    return this.#current.values()
  }

  /** Spare ones first: none of them takes the place of one that is parted with later. */
  all(): PeerConnection[] {
    return [...this.#spare.values(), ...this.#current.values()]
  }

  /** Whether it is the connection to its member that counts. */
  isCurrent(connection: PeerConnection): boolean {
    return this.#current.get(keyOf(connection)) === connection
  }

  /** Whether there is a connection to the same member. */
  knows(connection: PeerConnection): boolean {
    return this.#current.has(keyOf(connection))
  }

  /** From now on this one counts. @param chooses whether our key is the greater one @returns what did until now, and what to part with */
  add(connection: PeerConnection, chooses: boolean): { older?: PeerConnection; parted?: PeerConnection } {
    const key = keyOf(connection)
    const older = this.#current.get(key)
    this.#current.set(key, connection)
    if (older === undefined) return {}
    if (chooses) return { older, parted: older }
    const parted = this.#spare.get(key)
    this.#spare.set(key, older)
    return parted === undefined ? { older } : { older, parted }
  }

  /** It has ended. @returns whether it counted, and which one does in its place */
  remove(connection: PeerConnection): { readonly counted: boolean; readonly next: PeerConnection | undefined } {
    const key = keyOf(connection)
    const counted = this.isCurrent(connection)
    const spare = this.#spare.get(key)
    if (counted || spare === connection) this.#spare.delete(key)
    if (!counted) return { counted, next: undefined }
    if (spare === undefined) this.#current.delete(key)
    else this.#current.set(key, spare)
    return { counted, next: spare }
  }
}

function keyOf({ linkKey }: PeerConnection): string {
  return Buffer.from(linkKey).toString('hex')
}
