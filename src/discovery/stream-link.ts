/**
 * A FrameLink over a Noise secret stream: encrypted, its remote key proved, one write one frame.
 */
import type { SecretStream } from 'hyperswarm'
import type { Clock } from '../base/clock.ts'
import { formatHostPort } from '../base/host-port.ts'
import { FRAME_BYTES_MAX, SWARM_CLOSE_MS } from '../base/limits.ts'
import type { FrameLink } from '../base/link.ts'

/** @param stream connected: its handshake is through */
export function streamLink(stream: SecretStream, clock: Clock): FrameLink {
  return new StreamLink(stream, clock)
}

class StreamLink implements FrameLink {
  readonly localKey: Uint8Array
  readonly remoteKey: Uint8Array
  readonly handshakeHash: Uint8Array
  readonly initiator: boolean
  readonly address: string
  readonly closed: Promise<Error | undefined>
  #error: Error | undefined
  #hasRoom = true
  #waiters: (() => void)[] = []
  #ending = false
  readonly #over = new AbortController()

  constructor(
    private readonly stream: SecretStream,
    private readonly clock: Clock,
  ) {
    // Views of buffers that the stream may use again are copied; 32 to 64 bytes each.
    this.localKey = new Uint8Array(stream.publicKey)
    this.remoteKey = new Uint8Array(stream.remotePublicKey)
    this.handshakeHash = new Uint8Array(stream.handshakeHash)
    this.initiator = stream.isInitiator
    const { rawStream } = stream
    this.address = rawStream === null ? 'unknown address' : formatHostPort(rawStream.remoteHost, rawStream.remotePort)
    const { promise, resolve } = Promise.withResolvers<Error | undefined>()
    this.closed = promise
    stream.on('error', (error) => {
      this.#error = error
    })
    stream.on('drain', () => this.#release())
    stream.on('end', () => this.close())
    stream.on('close', () => {
      this.#ending = true
      this.#over.abort(new Error('the link has closed'))
      this.#release()
      resolve(this.#error)
    })
  }

  roundTripMs(): number | undefined {
    return this.stream.rawStream?.rtt
  }

  send(frame: Uint8Array): boolean {
    if (this.#ending || this.stream.destroying) return true
    this.#hasRoom = this.stream.write(frame)
    return this.#hasRoom
  }

  async drained(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#hasRoom || this.stream.destroyed) return
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    this.#waiters.push(resolve)
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  onFrame(listener: (frame: Uint8Array) => void): void {
    // The stream is paused until somebody listens.
    this.stream.on('data', (frame) => {
      if (frame.byteLength > FRAME_BYTES_MAX) this.stream.destroy(new Error('the peer sent a frame beyond the bound'))
      else listener(frame)
    })
  }

  close(): void {
    if (this.#ending) return
    this.#ending = true
    this.stream.end()
    // A remote that does not close its side must not keep ours open.
    void this.clock.sleep(SWARM_CLOSE_MS, this.#over.signal).then(
      () => this.stream.destroy(),
      () => {},
    )
  }

  destroy(): void {
    this.#ending = true
    this.stream.destroy()
  }

  #release(): void {
    this.#hasRoom = true
    for (const waiter of this.#waiters.splice(0)) waiter()
  }
}
