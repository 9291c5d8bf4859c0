/**
 * A slow, lossy path in user space, for benchmarks: forwards UDP between two ports on loopback.
 *
 * Every packet is held for half the round trip plus or minus a share of the jitter, drawn evenly for each packet alone,
 * so that packets overtake each other as they do with Linux' netem; then it is sent on, in steps of a millisecond. Loss
 * falls on each packet alone, in both directions. No rate limit and no queue limit: what bounds the rate is the sender.
 *
 * `bun bench/udx-relay.ts '{"left":PORT,"right":PORT,"roundTripMs":20,"jitterMs":2,"loss":0.01,"seed":1}'` prints
 * `{"left":PORT,"right":PORT}`, the ports that stand for the other side; and on SIGTERM what it forwarded and dropped.
 */
import { ignoreIcmpErrors, setBufferBytes } from '../packages/udx/src/system.ts'
import { seeded } from '../test/udx/support/simulation.ts'

export interface RelayOptions {
  /** The two real ports. */
  left: number
  right: number
  /** Both ways together, without the jitter. */
  roundTripMs: number
  /** The round trip varies by this much in either direction, at most. */
  jitterMs: number
  /** Chance that a packet is lost. */
  loss: number
  seed: number
}

const HOST = '127.0.0.1'
const TICK_MS = 1
const SLOTS = 1024
const BUFFER_BYTES = 4 * 1024 * 1024

/** What one direction holds: a wheel of milliseconds, each with what is to leave then. */
class Direction {
  forwarded = 0
  dropped = 0
  readonly #slots: (Uint8Array | number | string)[][] = Array.from({ length: SLOTS }, () => [])
  readonly #options: RelayOptions
  readonly #port: number
  readonly #random: () => number
  #at = Math.floor(performance.now())

  constructor(port: number, options: RelayOptions, random: () => number) {
    this.#port = port
    this.#options = options
    this.#random = random
  }

  take(packet: Uint8Array): void {
    const { roundTripMs, jitterMs, loss } = this.#options
    if (this.#random() < loss) {
      this.dropped++
      return
    }
    const delayMs = roundTripMs / 2 + (this.#random() - 0.5) * jitterMs
    const due = Math.max(this.#at + 1, Math.round(performance.now() + delayMs))
    this.#slots[due % SLOTS]?.push(packet, this.#port, HOST)
  }

  /** Send what is due. */
  turn(send: (batch: (Uint8Array | number | string)[]) => void): void {
    const now = Math.floor(performance.now())
    while (this.#at < now) {
      const slot = this.#slots[++this.#at % SLOTS] ?? []
      if (slot.length === 0) continue
      this.forwarded += slot.length / 3
      send(slot)
      slot.length = 0
    }
  }
}

type Socket = Bun.udp.Socket<'buffer'> & { readonly fd?: number }

function bind(onPacket: (packet: Buffer) => void): Socket {
  const socket = Bun.peek(
    Bun.udpSocket({ hostname: HOST, port: 0, socket: { data: (_, packet) => onPacket(packet), error: () => {} } }),
  )
  if (socket instanceof Promise) throw new Error('binding did not finish at once')
  const { fd = -1 } = socket as Socket
  ignoreIcmpErrors(fd, 4)
  setBufferBytes(fd, 'receive', BUFFER_BYTES)
  setBufferBytes(fd, 'send', BUFFER_BYTES)
  return socket
}

function sendAll(socket: Socket, batch: (Uint8Array | number | string)[]): void {
  for (let at = 0; at < batch.length; ) {
    const sent = socket.sendMany(batch.slice(at, at + 192))
    // A full buffer: the rest is lost, as with any router.
    if (sent === 0) return
    at += sent * 3
  }
}

/** Packets that the system has dropped at one of our ports. */
async function droppedBySystem(ports: readonly number[]): Promise<number> {
  const lines = (await Bun.file('/proc/net/udp').text()).split('\n').slice(1)
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local]) => ports.includes(Number.parseInt(local?.split(':')[1] ?? '', 16)))
    .reduce((sum, fields) => sum + Number(fields.at(-1)), 0)
}

/** Start a relay in a process of its own. `done()` ends it, and tells what it forwarded. */
export async function startRelay(options: RelayOptions) {
  const child = Bun.spawn([process.execPath, import.meta.path, JSON.stringify(options)], {
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const words = child.stdout.getReader()
  const next = async () => new TextDecoder().decode((await words.read()).value).trim()
  const ports = JSON.parse(await next()) as { left: number; right: number }
  return {
    ...ports,
    async done(): Promise<string> {
      child.kill('SIGTERM')
      const report = await next()
      await child.exited
      return report
    },
  }
}

if (import.meta.main) {
  const options = JSON.parse(process.argv[2] ?? '{}') as RelayOptions
  const random = seeded(options.seed)
  const there = new Direction(options.right, options, random)
  const back = new Direction(options.left, options, random)
  const left = bind((packet) => there.take(packet))
  const right = bind((packet) => back.take(packet))
  setInterval(() => {
    there.turn((batch) => sendAll(right, batch))
    back.turn((batch) => sendAll(left, batch))
  }, TICK_MS)
  console.log(JSON.stringify({ left: left.port, right: right.port }))
  process.on('SIGTERM', async () => {
    const lost = await droppedBySystem([left.port, right.port])
    console.log(JSON.stringify({ there: there.forwarded, back: back.forwarded, lostBySystem: lost }))
    process.exit(0)
  })
}
