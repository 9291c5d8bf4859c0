/**
 * Runs of packets of one size to one address in one system call: Linux' UDP segmentation offload (UDP_SEGMENT, kernel 4.18,
 * linux/udp.h).
 *
 * The kernel takes a run through its layers once and cuts it up at the end, which costs a fifth of what sendmmsg does. A
 * call that fails has sent nothing; the caller then sends the usual way. Knows nothing of UDX.
 */
import { dlopen, FFIType, ptr } from 'bun:ffi'
import { addressBytes } from './address-bytes.ts'

/** Packets, each with its port and host: what Bun's sendMany takes. */
export type Batch = (Uint8Array | number | string)[]

/** Below this, a run saves nothing. */
const RUN_PACKETS_MIN = 4
/** UDP_MAX_SEGMENTS of older kernels. */
const RUN_PACKETS_MAX = 64
/** The whole run must fit one datagram of IPv4 or IPv6. */
const RUN_BYTES_MAX = 65_000
/** After so many refusals in a row there is no offload here, as with some tunnels. */
const REFUSALS_MAX = 16

const SOL_UDP = 17
const UDP_SEGMENT = 103
const AF_INET = 2
const AF_INET6 = 10

type SendMessage = (fd: number, message: number, flags: number) => number

let sendMessage: SendMessage | undefined
let tried = false

function load(): SendMessage | undefined {
  if (tried) return sendMessage
  tried = true
  // struct msghdr is laid out below as 64-bit Linux has it.
  if (process.platform !== 'linux' || (process.arch !== 'x64' && process.arch !== 'arm64')) return undefined
  for (const library of ['libc.so.6', `libc.musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`]) {
    try {
      const { symbols } = dlopen(library, {
        sendmsg: { args: [FFIType.i32, FFIType.ptr, FFIType.i32], returns: FFIType.i32 },
      })
      sendMessage = symbols.sendmsg as unknown as SendMessage
      return sendMessage
    } catch {
      // The next name, or none: the caller does without.
    }
  }
  return undefined
}

export class Segments {
  readonly #fd: number
  readonly #family: 4 | 6
  readonly #send: SendMessage
  // ArrayBuffers of their own: a small typed array moves when its buffer is asked for, and its pointer is then stale.
  readonly #name = new Uint8Array(new ArrayBuffer(28))
  readonly #vectors = new Uint32Array(new ArrayBuffer(16 * RUN_PACKETS_MAX))
  readonly #control = new DataView(new ArrayBuffer(24))
  readonly #message = new DataView(new ArrayBuffer(56))
  readonly #messagePointer: number
  #host = ''
  #port = 0
  #nameValid = false
  #refusals = 0

  private constructor(fd: number, family: 4 | 6, send: SendMessage) {
    this.#fd = fd
    this.#family = family
    this.#send = send
    // struct cmsghdr: length, level, type; then the size of a segment.
    this.#control.setBigUint64(0, 18n, true)
    this.#control.setInt32(8, SOL_UDP, true)
    this.#control.setInt32(12, UDP_SEGMENT, true)
    const message = this.#message
    message.setBigUint64(0, BigInt(ptr(this.#name)), true)
    message.setUint32(8, family === 4 ? 16 : 28, true)
    message.setBigUint64(16, BigInt(ptr(this.#vectors)), true)
    message.setBigUint64(32, BigInt(ptr(this.#control)), true)
    message.setBigUint64(40, 24n, true)
    this.#messagePointer = ptr(message)
  }

  /** For a socket of this family, or undefined where the system has no such thing. */
  static of(fd: number, family: 4 | 6): Segments | undefined {
    const send = load()
    return send === undefined || fd < 0 ? undefined : new Segments(fd, family, send)
  }

  /** How many packets from `batch[at]` on may go together: of one size, the last one perhaps shorter. 0 when too few. */
  run(batch: Batch, at: number): number {
    if (this.#refusals >= REFUSALS_MAX) return 0
    const size = (batch[at] as Uint8Array).byteLength
    const most = Math.min(RUN_PACKETS_MAX, Math.floor(RUN_BYTES_MAX / Math.max(1, size)))
    const port = batch[at + 1]
    const host = batch[at + 2]
    let count = 0
    for (let i = at; i < batch.length && count < most; i += 3) {
      const { byteLength } = batch[i] as Uint8Array
      if (byteLength > size || byteLength === 0 || batch[i + 1] !== port || batch[i + 2] !== host) break
      count++
      if (byteLength < size) break
    }
    return count >= RUN_PACKETS_MIN ? count : 0
  }

  /** Send a run of `count` packets from `batch[at]` on. @returns false when the system did not take it: all or nothing */
  send(batch: Batch, at: number, count: number): boolean {
    if (!this.#address(batch[at + 2] as string, batch[at + 1] as number)) return false
    const vectors = this.#vectors
    for (let i = 0; i < count; i++) {
      const bytes = batch[at + i * 3] as Uint8Array
      const pointer = ptr(bytes)
      vectors[i * 4] = pointer
      vectors[i * 4 + 1] = pointer / 0x1_0000_0000
      vectors[i * 4 + 2] = bytes.byteLength
    }
    this.#message.setUint32(24, count, true)
    this.#control.setUint16(16, (batch[at] as Uint8Array).byteLength, true)
    if (this.#send(this.#fd, this.#messagePointer, 0) < 0) return false
    this.#refusals = 0
    return true
  }

  /** The packets of a run that was not taken have gone the usual way: so there was room, and offload is not supported. */
  refused(): void {
    this.#refusals++
  }

  /** Write the destination into the message. @returns false for an address that we cannot write */
  #address(host: string, port: number): boolean {
    if (host === this.#host && port === this.#port) return this.#nameValid
    this.#host = host
    this.#port = port
    const bytes = addressBytes(host, this.#family)
    this.#nameValid = bytes !== undefined
    if (bytes === undefined) return false
    const name = new DataView(this.#name.buffer)
    name.setUint16(0, this.#family === 4 ? AF_INET : AF_INET6, true)
    name.setUint16(2, port, false)
    this.#name.fill(0, 4)
    this.#name.set(bytes, this.#family === 4 ? 4 : 8)
    return true
  }
}
