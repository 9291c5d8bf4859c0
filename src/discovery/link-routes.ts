/**
 * Which of our addresses each link runs from, so that links whose address has gone are given up at once.
 *
 * Left alone they would look alive until their time-outs, some fifteen seconds, and keep a new link to the same machine
 * from being made. Links that run from another address of this machine are not touched.
 */
import { parseHostPort } from '../base/host-port.ts'
import type { FrameLink } from '../base/link.ts'
import { routeTo } from './network.ts'

export class LinkRoutes {
  readonly #sources = new Map<FrameLink, string>()

  /** Follow `link` until it closes. */
  async add(link: FrameLink, signal: AbortSignal): Promise<void> {
    const remote = parseHostPort(link.address)
    if (remote === undefined) return
    void link.closed.then(() => this.#sources.delete(link))
    try {
      const { source } = await routeTo(remote, signal)
      this.#sources.set(link, source)
    } catch {
      // No route to it now: it closes by itself.
    }
  }

  /** Close the links that ran from an address which is not among `localAddresses` any more. @returns how many */
  dropGone(localAddresses: readonly string[]): number {
    let dropped = 0
    for (const [link, source] of this.#sources) {
      if (source.startsWith('127.') || localAddresses.includes(source)) continue
      this.#sources.delete(link)
      link.destroy()
      dropped++
    }
    return dropped
  }
}
