/**
 * Links to an address instead of a key, without a DHT: for IPv6, which dht-rpc cannot encode.
 *
 * Caller and called tell each other the ids of their UDX streams in two datagrams, then comes the same Noise secret
 * stream as everywhere (pattern XX). A stranger gets no answer; who is refused by key gets none either, before any state
 * is made. State for those who have not finished the handshake is bounded in number and time.
 */
import SecretStream from '@hyperswarm/secret-stream'
import type HyperDHT from 'hyperdht'
import type { RawStream, UdxSocket } from 'hyperdht'
import type { Clock } from '../base/clock.ts'
import type { HostPort } from '../base/host-port.ts'
import { DIRECT_PENDING_MAX, FLEETS_MAX } from '../base/limits.ts'
import { type Delegation, type KeyPair, randomSecret } from '../trust/keys.ts'
import { openDelegation, openKnock, sealDelegation, sealKnock } from '../trust/knock.ts'
import type { Refuses } from './hyperswarm-options.ts'
import { decodeKnock, encodeKnock, KNOCK_NONCE_BYTES, type Knock } from './knock-codec.ts'

/** A knock is repeated so often, since it or its answer may be lost. */
const KNOCKS = 4
const KNOCK_AGAIN_MS = 300
/** From the answer until the handshake is through. */
const HANDSHAKE_MS = 3_000
const KEEP_ALIVE_MS = 30_000

export interface DirectLinksOptions {
  /** Its UDX carries the streams. */
  readonly dht: HyperDHT
  readonly keyPair: KeyPair
  readonly delegation: Delegation | undefined
  /** Of all fleets of this machine. */
  readonly secrets: () => readonly Uint8Array[]
  readonly refuses: Refuses
  /** Whether there is a link to this key by another way: then no second one is made. */
  readonly isLinked: (publicKey: Uint8Array) => boolean
  readonly onStream: (stream: SecretStream) => void
  readonly clock: Clock
}

/** A call of ours that has no answer yet. */
interface Call {
  readonly to: HostPort
  readonly answered: (streamId: number) => void
}

export class DirectLinks {
  readonly #over = new AbortController()
  readonly #calls = new Map<string, Call>()
  /** What we have answered, by nonce: the stream's id, for a knock that comes twice. */
  readonly #pending = new Map<string, number>()
  /** Open links by the address of the remote. */
  readonly #open = new Map<string, SecretStream>()

  private constructor(
    private readonly socket: UdxSocket,
    private readonly options: DirectLinksOptions,
  ) {
    socket.on('message', (bytes, from) => this.#receive(bytes, from))
  }

  /** @returns undefined where this system has no IPv6; on a taken port a free one is used */
  static start(port: number, options: DirectLinksOptions): DirectLinks | undefined {
    for (const wanted of port === 0 ? [0] : [port, 0]) {
      const socket = options.dht.udx.createSocket({ ipv6Only: true })
      try {
        socket.bind(wanted, '::')
        return new DirectLinks(socket, options)
      } catch {
        void socket.close()
      }
    }
    return undefined
  }

  get port(): number {
    return this.socket.address().port
  }

  /**
   * Call the machine at an IPv6 address.
   *
   * @returns whether there is a link now, also where it has called us; false where nobody of our fleets answers
   */
  async call(to: HostPort, signal: AbortSignal): Promise<boolean> {
    const { keyPair, delegation, secrets, dht, clock } = this.options
    if (this.#open.has(keyOf(to))) return true
    const raw = dht.createRawStream({ framed: true, firewall: () => true })
    const nonce = randomSecret(KNOCK_NONCE_BYTES)
    const answer = Promise.withResolvers<number>()
    const answered = new AbortController()
    const id = hex(nonce)
    this.#calls.set(id, {
      to,
      answered: (streamId) => {
        answered.abort()
        answer.resolve(streamId)
      },
    })
    try {
      const over = AbortSignal.any([signal, this.#over.signal])
      const entries = sealKnock(secrets().slice(0, FLEETS_MAX), keyPair.publicKey, nonce, raw.id)
      const vouched = delegation && { vouched: sealDelegation(delegation, keyPair.publicKey, nonce) }
      const knock = encodeKnock({ type: 'knock', nonce, streamId: raw.id, entries, ...vouched })
      for (let knocks = 0; knocks < KNOCKS && !answered.signal.aborted && entries.length > 0; knocks++) {
        await this.socket.send(Buffer.from(knock), to.port, to.host)
        await clock.sleep(KNOCK_AGAIN_MS, AbortSignal.any([answered.signal, over])).catch(() => {})
        over.throwIfAborted()
      }
      if (!answered.signal.aborted) return this.#open.has(keyOf(to))
      return await this.#finish(raw, await answer.promise, to, undefined)
    } finally {
      this.#calls.delete(id)
      if (!raw.connected) raw.destroy()
    }
  }

  /** Send a datagram that says nothing, so that a firewall on this machine takes a knock from there for an answer. */
  open(to: HostPort): void {
    void this.socket.send(Buffer.from([0]), to.port, to.host)
  }

  async close(): Promise<void> {
    this.#over.abort(new Error('direct links have ended'))
    for (const stream of this.#open.values()) stream.destroy()
    await this.socket.close()
  }

  #receive(bytes: Uint8Array, from: HostPort): void {
    const message = decodeKnock(bytes)
    if (message === undefined || this.#over.signal.aborted) return
    if (message.type === 'knock') this.#onKnock(message, from)
    else {
      const call = this.#calls.get(hex(message.nonce))
      if (call !== undefined && keyOf(call.to) === keyOf(from)) call.answered(message.streamId)
    }
  }

  #onKnock({ nonce, streamId, entries, vouched }: Knock, from: HostPort): void {
    const { secrets, keyPair, refuses, isLinked, dht } = this.options
    const key = openKnock(secrets(), entries, nonce, streamId)
    if (key === undefined || equal(key, keyPair.publicKey) || isLinked(key)) return
    if (refuses(key, vouched === undefined ? undefined : openDelegation(vouched, key, nonce))) return
    // Of two that call each other at the same time, the one with the higher key is answered.
    const calling = [...this.#calls.values()].some(({ to }) => keyOf(to) === keyOf(from))
    if (calling && Buffer.compare(keyPair.publicKey, key) > 0) return
    const id = hex(nonce)
    const known = this.#pending.get(id)
    if (known === undefined) {
      if (this.#pending.size >= DIRECT_PENDING_MAX) return
      const raw = dht.createRawStream({ framed: true, firewall: () => true })
      this.#pending.set(id, raw.id)
      void this.#finish(raw, streamId, from, key)
        .catch(() => raw.destroy())
        .finally(() => this.#pending.delete(id))
    }
    const ours = known ?? this.#pending.get(id)
    if (ours === undefined) return
    const answer = encodeKnock({ type: 'answer', nonce, streamId: ours })
    void this.socket.send(Buffer.from(answer), from.port, from.host)
  }

  /** @param claimed the caller's key as it says; undefined where the call is ours @returns whether there is a link now */
  async #finish(raw: RawStream, remoteId: number, remote: HostPort, claimed: Uint8Array | undefined): Promise<boolean> {
    const { keyPair, refuses, onStream, clock } = this.options
    raw.connect(this.socket, remoteId, remote.port, remote.host)
    const stream = new SecretStream(claimed === undefined, raw, {
      keyPair: { publicKey: Buffer.from(keyPair.publicKey), secretKey: Buffer.from(keyPair.secretKey) },
      keepAlive: KEEP_ALIVE_MS,
    })
    stream.on('error', () => {})
    const settled = new AbortController()
    clock
      .sleep(HANDSHAKE_MS, AbortSignal.any([settled.signal, this.#over.signal]))
      .catch(() => {})
      .then(() => {
        if (!settled.signal.aborted) stream.destroy()
      })
    const opened = await stream.opened
    settled.abort()
    const right =
      opened && (claimed === undefined ? !refuses(stream.remotePublicKey) : equal(stream.remotePublicKey, claimed))
    if (!right) {
      stream.destroy()
      return false
    }
    const address = keyOf(remote)
    this.#open.set(address, stream)
    stream.on('close', () => {
      if (this.#open.get(address) === stream) this.#open.delete(address)
    })
    onStream(stream)
    return true
  }
}

function keyOf({ host, port }: HostPort): string {
  return `${host} ${port}`
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function equal(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.from(left).equals(right)
}
