/**
 * A UDX stream as applications see it: a streamx Duplex over a {@link Connection}.
 *
 * The same methods, properties and events as the native UDXStream. Writing is possible once connected; reading may begin
 * before, when the remote has been told our id and is faster.
 */
import { Writable } from 'streamx'
import { Connection } from './connection.ts'
import type { CloseCode } from './events.ts'
import { FrameJoiner } from './frames.ts'
import { type Path, pathTo } from './path.ts'
import type { UDXSocket } from './socket.ts'
import { StreamFigures } from './stream-figures.ts'
import type { UDX } from './udx.ts'

/** Asked about packets that come in on another socket than the stream's own; true turns the packet away. */
export type Firewall = (socket: UDXSocket, port: number, host: string, family: 4 | 6) => boolean

export interface StreamOptions {
  /** The bytes are frames with a three-byte length: read one chunk a frame. */
  framed?: boolean
  /** Without one, packets on another socket than the stream's own are turned away. */
  firewall?: Firewall
  /** Our first sequence number. */
  seq?: number
}

export interface ConnectOptions {
  /** The remote's first sequence number. */
  ack?: number
}

type Callback = (error: Error | null) => void

export class UDXStream extends StreamFigures {
  readonly udx: UDX
  readonly id: number
  socket: UDXSocket | null = null
  remoteId = 0
  remoteHost: string | null = null
  remoteFamily: 0 | 4 | 6 = 0
  remotePort = 0
  userData: unknown = null
  override readonly connection: Connection
  readonly #firewall: Firewall
  readonly #joiner: FrameJoiner | undefined
  #writing: Callback | undefined
  #destroyingDone: Callback | undefined
  #previousSocket: UDXSocket | undefined
  #changing: Promise<void> | undefined
  #writtenBytes = 0
  #flushes: { until: number; resolve: (flushed: boolean) => void }[] = []

  constructor(udx: UDX, id: number, options: StreamOptions = {}) {
    super({ mapWritable: toBytes, eagerOpen: true })
    this.udx = udx
    this.id = id >>> 0
    this.#firewall = options.firewall ?? (() => true)
    if (options.framed) this.#joiner = new FrameJoiner((chunk) => this.push(chunk))
    this.connection = new Connection(udx.clock, {
      onData: (payload) => this.#onData(payload),
      onEnd: () => this.#onEnd(),
      onMessage: (payload) => this.emit('message', payload as Buffer),
      onDrain: () => this.#writeContinue(),
      onAcked: () => this.#onAcked(),
      onRemoteChanged: () => this.#onRemoteChanged(),
      onClose: (code) => this.#onClose(code),
      unreadBytes: () => this.#unreadBytes(),
    })
    if (options.seq) this.connection.sender.start(options.seq >>> 0)
    udx.addStream(this)
  }

  get connected(): boolean {
    return this.socket !== null
  }

  get localHost(): string | null {
    return this.socket?.address()?.host ?? null
  }

  get localFamily(): 0 | 4 | 6 {
    return this.socket?.address()?.family ?? 0
  }

  get localPort(): number {
    return this.socket?.address()?.port ?? 0
  }

  /** Accepted and without effect, as in native 1.21: chunks are always handed on as they come. */
  setInteractive(_interactive: boolean): void {}

  /** Send a heartbeat after so many idle milliseconds, again and again; 0 turns that off. */
  setKeepalive(intervalMs: number): void {
    if (!this.connection.closed) this.connection.setKeepalive(intervalMs)
  }

  /**
   * Begin to send to stream `remoteId` at `host` and `port`. A socket that is not bound is bound.
   *
   * @throws {Error} when connected already, when the socket is closing, when host or port is not valid
   */
  connect(
    socket: UDXSocket,
    remoteId: number,
    port: number,
    host?: string | ConnectOptions | null,
    options: ConnectOptions = {},
  ): void {
    if (this.connection.closed) return
    if (this.connected) throw new Error('Already connected')
    if (socket.closing) throw new Error('Socket is closed')
    const settings = typeof host === 'object' && host !== null ? host : options
    const path = pathTo(socket, remoteId, port, typeof host === 'string' && host !== '' ? host : '127.0.0.1')
    if (!socket.bound) socket.bind(0)
    this.#take(path, socket)
    if (settings.ack) {
      this.connection.inbound.packets.ack = settings.ack >>> 0
      this.connection.sender.window.start({ ack: settings.ack >>> 0 })
    }
    this.connection.connect(path)
    // Packets that came before may have ended it.
    if (this.connection.closed) return
    socket.addStream(this)
    this.emit('connect')
  }

  /**
   * Send to another address, by another socket, or to another id from now on.
   *
   * @returns resolves once everything sent to the old remote is acked; rejects when the stream closes before
   * @throws {Error} when not connected, already changing, when the socket is closing or of another UDX, when host or port
   * is not valid
   */
  changeRemote(socket: UDXSocket, remoteId: number, port: number, host?: string): Promise<void> {
    if (this.#changing !== undefined) throw new Error('Remote already changing')
    if (this.socket === null) throw new Error('Not yet connected')
    if (socket.closing) throw new Error('Socket is closed')
    if (this.socket.udx !== socket.udx) throw new Error('Cannot change to a socket on another UDX instance')
    const path = pathTo(socket, remoteId, port, host || '127.0.0.1')
    if (this.socket !== socket) this.#previousSocket = this.socket
    this.#take(path, socket)
    const changing = new Promise<void>((resolve, reject) => {
      const changed = () => {
        this.off('close', closed)
        resolve()
      }
      const closed = () => {
        this.off('remote-changed', changed)
        reject(new Error('Stream is closed'))
      }
      this.once('remote-changed', changed)
      this.once('close', closed)
    })
    this.#changing = changing
    if (this.connection.changePath(path)) this.#onRemoteChanged()
    socket.addStream(this)
    return changing
  }

  /**
   * Forward every packet to `destination`'s remote instead of reading it. When either stream closes, the other goes, too;
   * neither tells its remote.
   *
   * @throws {Error} with code EINVAL when `destination` is closed, or this stream relays already
   */
  relayTo(destination: UDXStream): void {
    if (this.connection.closed || this.connection.relayTo(destination.connection)) return
    throw withCode('EINVAL', 'EINVAL: the destination is closed, or this stream relays already')
  }

  /** Send a datagram to the remote stream, outside the sequence. @returns whether it went out; arrival is not known */
  async send(buffer: Uint8Array): Promise<boolean> {
    return this.connected && this.connection.sendMessage(buffer)
  }

  /** Like {@link send}, and forget it. */
  trySend(buffer: Uint8Array): void {
    if (this.connected) this.connection.sendMessage(buffer)
  }

  /** Resolves with true once the remote has acked all that is written so far, with false when the stream closes first. */
  async flush(): Promise<boolean> {
    if ((await Writable.drained(this as unknown as Writable)) === false) return false
    if (this.destroying) return false
    const until = this.#writtenBytes
    if (this.connection.sender.ackedBytes >= until) return true
    return new Promise((resolve) => this.#flushes.push({ until, resolve }))
  }

  toJSON(): Record<string, unknown> {
    return {
      id: this.id,
      connected: this.connected,
      destroying: this.destroying,
      destroyed: this.destroyed,
      remoteId: this.remoteId,
      remoteHost: this.remoteHost,
      remoteFamily: this.remoteFamily,
      remotePort: this.remotePort,
      mtu: this.mtu,
      rtt: this.rtt,
      cwnd: this.cwnd,
      inflight: this.inflight,
      socket: this.socket?.toJSON() ?? null,
    }
  }

  /** For UDX: whether a packet that came in on `socket` is to be turned away. */
  refuses(socket: UDXSocket, port: number, host: string, family: 4 | 6): boolean {
    if (socket === this.socket) return false
    return port <= 0 || port > 65535 || this.#firewall(socket, port, host, family)
  }

  /** For sockets: the system takes packets again. */
  onWritable(): void {
    this.connection.onWritable()
  }

  /** Write `data`, if given, and end our side. */
  override end(data?: unknown): this {
    return super.end(data)
  }

  override _read(done: Callback): void {
    this.connection.onRead()
    done(null)
  }

  override _writev(batch: unknown[], done: Callback): void {
    if (!this.connected) throw withCode('ERR_ASSERTION', 'Writing while not connected not currently supported')
    const chunks = batch as Uint8Array[]
    for (const chunk of chunks) this.#writtenBytes += chunk.byteLength
    if (this.connection.write(chunks)) done(null)
    else this.#writing = done
  }

  override _final(done: Callback): void {
    this.connection.end()
    done(null)
  }

  override _predestroy(): void {
    this.connection.destroy()
    this.#writeContinue()
  }

  override _destroy(done: Callback): void {
    if (this.connected) this.#destroyingDone = done
    else {
      this.connection.destroy()
      done(null)
    }
  }

  #take(path: Path, socket: UDXSocket): void {
    this.remoteId = path.remoteId
    this.remotePort = path.remotePort
    this.remoteHost = path.remoteHost
    this.remoteFamily = path.remoteHost.includes(':') ? 6 : 4
    this.socket = socket
  }

  #unreadBytes(): number {
    // Counted by streamx, not declared by it.
    return (this as unknown as { _readableState: { buffered: number } })._readableState.buffered
  }

  #onData(payload: Uint8Array): void {
    if (this.#joiner === undefined) this.push(payload)
    else this.#joiner.push(payload)
  }

  #onEnd(): void {
    this.#joiner?.flush()
    this.push(null)
  }

  #onAcked(): void {
    const acked = this.connection.sender.ackedBytes
    while (this.#flushes[0] !== undefined && this.#flushes[0].until <= acked) this.#flushes.shift()?.resolve(true)
  }

  #onRemoteChanged(): void {
    this.#previousSocket?.removeStream(this)
    this.#previousSocket = undefined
    this.#changing = undefined
    this.emit('remote-changed')
  }

  #onClose(code: CloseCode | undefined): void {
    this.udx.removeStream(this)
    const { socket } = this
    this.socket = null
    socket?.removeStream(this)
    this.#previousSocket?.removeStream(this)
    this.#previousSocket = undefined
    for (const { resolve } of this.#flushes.splice(0)) resolve(false)
    const error = code === undefined ? null : closeError(code)
    const done = this.#destroyingDone
    this.#destroyingDone = undefined
    if (done !== undefined) done(error)
    // A relay closes with its other half; nothing was read or written that would close it in order.
    else if (error !== null || this.connection.relay.begun) this.destroy(error)
  }

  #writeContinue(): void {
    const done = this.#writing
    this.#writing = undefined
    done?.(null)
  }
}

function closeError(code: CloseCode): Error {
  const what = code === 'ETIMEDOUT' ? 'connection timed out' : 'connection reset by peer'
  return withCode(code, `${code}: ${what}`)
}

function withCode(code: string, message: string): Error {
  return Object.assign(new Error(message), { code })
}

function toBytes(data: unknown): unknown {
  return typeof data === 'string' ? Buffer.from(data) : data
}
