/**
 * Which stream forwards its packets to which. A relay reads nothing, and says nothing in its own name, not even a last
 * word: its two remotes may have found a direct way long since, and would take a reset for the other's.
 */
import { FLAG_DESTROY, type Header, readdress } from './codec.ts'
import type { Path } from './path.ts'

/** What a relay needs of the stream that it is part of. */
export interface RelayEnd {
  readonly relay: Relay
  readonly closed: boolean
  readonly path: Path | undefined
  forward(packet: Uint8Array, path: Path): void
  destroy(): void
}

export class Relay {
  /** Where packets go instead of being read; undefined where this stream is no relay, or none any more. */
  target: RelayEnd | undefined
  /** This stream has been a relay. */
  begun = false
  readonly #sources = new Set<RelayEnd>()

  /** Let `source`, whose part this is, forward to `target`. @returns false when that cannot be */
  begin(source: RelayEnd, target: RelayEnd): boolean {
    if (this.begun || target.closed) return false
    this.begun = true
    this.target = target
    target.relay.#sources.add(source)
    return true
  }

  /** Pass one packet on. @returns true when it was a reset, which ends the relay, too */
  pass(packet: Uint8Array, header: Header, target: RelayEnd): boolean {
    const { path } = target
    if (path !== undefined) {
      readdress(packet, path.remoteId)
      target.forward(packet, path)
    }
    return (header.flags & FLAG_DESTROY) !== 0
  }

  /** `owner` has closed: whoever forwards to it closes, too. */
  end(owner: RelayEnd): void {
    if (this.target !== undefined) this.target.relay.#sources.delete(owner)
    this.target = undefined
    for (const source of this.#sources) source.destroy()
    this.#sources.clear()
  }
}
