/**
 * The in-memory twin of discovery and of its links: in one process, with the semantics of the real ones.
 *
 * Frames are copied, arrive whole, in order and in a later turn; the send queue is bounded; a closed end delivers what
 * was sent before. No encryption, no loss.
 */
import type { HostPort } from '../base/host-port.ts'
import { FRAME_BYTES_MAX } from '../base/limits.ts'
import type { FrameLink } from '../base/link.ts'
import type { KeyPair } from '../trust/keys.ts'
import { randomSecret } from '../trust/keys.ts'
import type { Discovery, Joined } from './discovery.ts'

/** Bytes on their way in one direction before `send` asks for patience. */
const QUEUE_BYTES = 256 * 1024

class MemoryEnd implements FrameLink {
  readonly closed: Promise<Error | undefined>
  readonly #resolveClosed: (error: Error | undefined) => void
  #other: MemoryEnd | undefined
  #listener: ((frame: Uint8Array) => void) | undefined
  /** Frames that the other end has sent and this one has not delivered. */
  #inbox: Uint8Array[] = []
  #inboxBytes = 0
  #delivering = false
  #state: 'open' | 'closing' | 'closed' = 'open'
  #drainedWaiters: (() => void)[] = []

  constructor(
    readonly localKey: Uint8Array,
    readonly remoteKey: Uint8Array,
    readonly handshakeHash: Uint8Array,
    readonly initiator: boolean,
    readonly address: string,
  ) {
    const { promise, resolve } = Promise.withResolvers<Error | undefined>()
    this.closed = promise
    this.#resolveClosed = resolve
  }

  attach(other: MemoryEnd): void {
    this.#other = other
  }

  roundTripMs(): undefined {
    return undefined
  }

  send(frame: Uint8Array): boolean {
    const other = this.#other
    if (this.#state !== 'open' || other === undefined) return true
    if (frame.byteLength > FRAME_BYTES_MAX) {
      this.destroy()
      return true
    }
    other.#inbox.push(new Uint8Array(frame))
    other.#inboxBytes += frame.byteLength
    other.#deliverSoon()
    return other.#inboxBytes < QUEUE_BYTES
  }

  async drained(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const other = this.#other
    if (this.#state !== 'open' || other === undefined || other.#inboxBytes < QUEUE_BYTES) return
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    other.#drainedWaiters.push(resolve)
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  onFrame(listener: (frame: Uint8Array) => void): void {
    this.#listener = listener
    this.#deliverSoon()
  }

  close(): void {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    const other = this.#other
    if (other !== undefined) {
      if (other.#state === 'open') other.#state = 'closing'
      other.#deliverSoon()
    }
    this.#finish(undefined)
  }

  destroy(): void {
    if (this.#state === 'closed') return
    this.#finish(undefined)
    const other = this.#other
    if (other !== undefined) other.#finish(new Error('the other end was destroyed'))
  }

  #deliverSoon(): void {
    if (this.#delivering || this.#listener === undefined) return
    this.#delivering = true
    setImmediate(() => {
      this.#delivering = false
      this.#deliver()
    })
  }

  #deliver(): void {
    const frames = this.#inbox
    this.#inbox = []
    this.#inboxBytes = 0
    for (const waiter of this.#drainedWaiters.splice(0)) waiter()
    for (const frame of frames) if (this.#state !== 'closed') this.#listener?.(frame)
    if (this.#inbox.length > 0) this.#deliverSoon()
    else if (this.#state === 'closing') this.#finish(undefined)
  }

  #finish(error: Error | undefined): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#inbox = []
    this.#inboxBytes = 0
    for (const waiter of this.#drainedWaiters.splice(0)) waiter()
    this.#resolveClosed(error)
  }
}

/**
 * @param addresses of the second and of the first end, as the other one sees them
 * @returns both ends of a new link; the first belongs to the side that opened it
 */
export function memoryLink(
  initiator: KeyPair,
  responder: KeyPair,
  addresses: readonly [string, string] = ['memory:1', 'memory:2'],
): [FrameLink, FrameLink] {
  const handshakeHash = randomSecret(64)
  const left = new MemoryEnd(initiator.publicKey, responder.publicKey, handshakeHash, true, addresses[0])
  const right = new MemoryEnd(responder.publicKey, initiator.publicKey, handshakeHash, false, addresses[1])
  left.attach(right)
  right.attach(left)
  return [left, right]
}

/** Where in-memory members meet. Of two that join one topic, one that announces is found by the other. */
export class MemoryNetwork {
  readonly #members = new Set<MemoryDiscovery>()

  /** @param mode as for Hyperswarm: a `daemon` is found and looks, a `client` only looks */
  enter(keyPair: KeyPair, mode: 'daemon' | 'client'): Discovery {
    const member = new MemoryDiscovery(keyPair, mode, this.#members)
    this.#members.add(member)
    return member
  }
}

class MemoryDiscovery implements Discovery {
  readonly bootstrapAddresses: readonly HostPort[] = []
  readonly #topics = new Set<string>()
  readonly #links = new Map<MemoryDiscovery, FrameLink>()
  #listener: ((link: FrameLink) => void) | undefined
  #kept: FrameLink[] = []

  constructor(
    private readonly keyPair: KeyPair,
    private readonly mode: 'daemon' | 'client',
    private readonly members: Set<MemoryDiscovery>,
  ) {}

  onLink(listener: (link: FrameLink) => void): void {
    this.#listener = listener
    for (const link of this.#kept.splice(0)) listener(link)
  }

  join(topic: Uint8Array): Joined {
    const name = Buffer.from(topic).toString('hex')
    this.#topics.add(name)
    for (const other of this.members) {
      if (other === this || !other.#topics.has(name) || this.#links.has(other)) continue
      if (this.mode === 'client' && other.mode === 'client') continue
      const [ours, theirs] = memoryLink(this.keyPair, other.keyPair)
      this.#take(other, ours)
      other.#take(this, theirs)
    }
    return {
      flushed: async (signal) => signal.throwIfAborted(),
      leave: async () => void this.#topics.delete(name),
    }
  }

  announce(topic: Uint8Array): Joined {
    return this.join(topic)
  }

  /** Members with a common topic are linked as soon as both have joined it. */
  async seek(topic: Uint8Array, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted()
    const before = this.#links.size
    const joined = this.join(topic)
    await joined.leave()
    return this.#links.size - before
  }

  async settled(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
  }

  addBootstraps(): void {}

  reconsider(): void {}

  lookWider(): void {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.members.delete(this)
    this.#topics.clear()
    for (const link of this.#links.values()) link.destroy()
  }

  #take(other: MemoryDiscovery, link: FrameLink): void {
    this.#links.set(other, link)
    void link.closed.then(() => this.#links.delete(other))
    if (this.#listener === undefined) this.#kept.push(link)
    else this.#listener(link)
  }
}
