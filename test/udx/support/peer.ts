/** A UDX stream in another process: the real udx-native under node, or packages/udx under bun. */
import type { Subprocess } from 'bun'

const FIXTURE = new URL('../fixtures/peer.cjs', import.meta.url).pathname

/** Where `node` is, if it is installed. */
export const nodePath: string | null = Bun.which('node')

/** What {@link FIXTURE} prints when its stream has closed. */
export interface PeerReport {
  received: number
  hash: string
  messages: number
  ended: boolean
  error: string | null
  mtu: number
  /** From the first byte to the last. */
  ms: number
  /** Mean of a round trip, and what 99 of 100 stay below, where pings were asked for. */
  latencyMs: number
  latencyP99Ms: number
  /** Processor time of the whole process. */
  cpuMs: number
  retransmits: number
}

export class Peer {
  readonly #child: Subprocess<'pipe', 'pipe', 'inherit'>
  readonly #lines: AsyncIterator<string>

  /** @param command what runs the fixture, with what goes before it: `node`, or `ip netns exec NAME node` */
  constructor(command: string | readonly string[], options: object) {
    this.#child = Bun.spawn([...[command].flat(), FIXTURE, JSON.stringify(options)], {
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'inherit',
    })
    this.#lines = lines(this.#child.stdout)
  }

  /** The port that it is bound to. */
  async port(): Promise<number> {
    return (await this.#next<{ port: number }>()).port
  }

  /** Tell it our port, upon which an active peer connects. */
  meet(port: number): void {
    this.#child.stdin.write(`${JSON.stringify({ port })}\n`)
    this.#child.stdin.flush()
  }

  async report(): Promise<PeerReport> {
    return this.#next<PeerReport>()
  }

  kill(): void {
    this.#child.kill()
  }

  async #next<T>(): Promise<T> {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error('the peer ended without a word')
    return JSON.parse(value) as T
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
