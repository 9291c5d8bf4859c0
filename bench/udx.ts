/**
 * Throughput and latency of packages/udx on loopback, beside udx-native on Node in the same minute: two processes, one
 * stream, no encryption. `bun bench/udx.ts [megabytes]`.
 */
import { type Subprocess, spawn } from 'bun'

const megabytes = Number(process.argv[2] ?? 300)
const peer = new URL('../test/udx/fixtures/peer.cjs', import.meta.url).pathname

type Runtime = 'bun' | 'node'
interface Report {
  received: number
  ms: number
  latencyMs: number
  retransmits: number
  mtu: number
}

class Peer {
  readonly #child: Subprocess<'pipe', 'pipe', 'inherit'>
  readonly #lines: AsyncIterator<string>

  constructor(runtime: Runtime, options: object) {
    const command = runtime === 'bun' ? process.execPath : 'node'
    this.#child = spawn([command, peer, JSON.stringify(options)], { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' })
    this.#lines = lines(this.#child.stdout)
  }

  async next<T>(): Promise<T> {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error('the peer ended without a report')
    return JSON.parse(value) as T
  }

  tell(value: object): void {
    this.#child.stdin.write(`${JSON.stringify(value)}\n`)
    this.#child.stdin.flush()
  }
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true })
    const parts = text.split('\n')
    text = parts.pop() ?? ''
    yield* parts
  }
}

async function run(sender: Runtime, receiver: Runtime, options: object): Promise<[Report, Report]> {
  const active = new Peer(sender, { id: 1, remoteId: 2, role: 'active', hash: false, ...options })
  const expect = 'bytes' in options ? options.bytes : 0
  const passive = new Peer(receiver, { id: 2, remoteId: 1, role: 'passive', hash: false, ...options, bytes: 0, expect })
  const [{ port }, remote] = [await active.next<{ port: number }>(), await passive.next<{ port: number }>()]
  passive.tell({ port })
  active.tell(remote)
  return [await active.next<Report>(), await passive.next<Report>()]
}

const pairs: [Runtime, Runtime][] = [
  ['node', 'node'],
  ['bun', 'bun'],
  ['node', 'bun'],
  ['bun', 'node'],
]
for (const [sender, receiver] of pairs) {
  const [sent, received] = await run(sender, receiver, { bytes: megabytes * 1e6 })
  const rate = received.received / 1000 / received.ms
  const [pinged] = await run(sender, receiver, { pings: 2100, finish: 'destroy' })
  console.log(
    `${sender} to ${receiver}: ${rate.toFixed(0)} MB/s, ${sent.retransmits} retransmits;`,
    `round trip ${pinged.latencyMs.toFixed(3)} ms`,
  )
}
