/**
 * The machine's network interfaces, and a watcher that tells when they change.
 *
 * Looks every five seconds, as the native implementation does; never keeps a process alive.
 */
import { EventEmitter } from 'node:events'
import { networkInterfaces } from 'node:os'

const WATCH_MS = 5000

/** One address of one interface. */
export interface NetworkInterface {
  name: string
  host: string
  family: 4 | 6
  /** True for loopback. */
  internal: boolean
}

/** All addresses of this machine that are up. */
export function listInterfaces(): NetworkInterface[] {
  const list: NetworkInterface[] = []
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    for (const { address, family, internal } of addresses ?? []) {
      list.push({ name, host: address, family: family === 'IPv4' ? 4 : 6, internal })
    }
  }
  return list
}

export class NetworkInterfaces extends EventEmitter<{ change: [NetworkInterface[]]; close: [] }> {
  interfaces: NetworkInterface[] = listInterfaces()
  #timer: ReturnType<typeof setInterval> | undefined
  #destroyed: Promise<void> | undefined

  /** Begin to emit `change`; idempotent. */
  watch(): this {
    if (this.#timer !== undefined || this.#destroyed !== undefined) return this
    this.#timer = setInterval(() => this.#look(), WATCH_MS)
    this.#timer.unref()
    return this
  }

  /** Stop emitting `change`; idempotent. */
  unwatch(): this {
    clearInterval(this.#timer)
    this.#timer = undefined
    return this
  }

  /** Stop for good. Resolves after `close` has been emitted; idempotent. */
  destroy(): Promise<void> {
    this.#destroyed ??= new Promise((resolve) => {
      this.unwatch()
      setImmediate(() => {
        this.emit('close')
        resolve()
      })
    })
    return this.#destroyed
  }

  [Symbol.iterator](): IterableIterator<NetworkInterface> {
    return this.interfaces[Symbol.iterator]()
  }

  #look(): void {
    const now = listInterfaces()
    if (fingerprint(now) === fingerprint(this.interfaces)) return
    this.interfaces = now
    this.emit('change', now)
  }
}

/** The same for the same set of addresses, whatever their order. */
function fingerprint(list: readonly NetworkInterface[]): string {
  const lines = list.map(({ name, host, family, internal }) => `${name} ${host} ${family} ${internal}`)
  return lines.sort().join('\n')
}
