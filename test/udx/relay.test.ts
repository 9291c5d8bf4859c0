/** Relays over real sockets: what the two ends notice, and what they must not. */
import { describe, expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { StreamOptions } from '../../packages/udx/src/stream.ts'
import { UDX } from '../../packages/udx/src/udx.ts'
import { opener, portOf } from './support/opened.ts'

const { bound, stream } = opener()

/** `left` and `right`, each connected to its own half of a relay. */
function relayed(options?: StreamOptions) {
  const [udx, relay] = [new UDX(), new UDX()]
  const [a, b, middle] = [bound(udx, '127.0.0.1'), bound(udx, '127.0.0.1'), bound(relay, '127.0.0.1')]
  const [left, right, toLeft, toRight] = [
    stream(udx, 1, options),
    stream(udx, 2, options),
    stream(relay, 3),
    stream(relay, 4),
  ]
  toLeft.connect(middle, 1, portOf(a))
  toRight.connect(middle, 2, portOf(b))
  toLeft.relayTo(toRight)
  toRight.relayTo(toLeft)
  left.connect(a, 3, portOf(middle))
  right.connect(b, 4, portOf(middle))
  return { a, b, left, right, toLeft, toRight }
}

describe('relayTo()', () => {
  test('forwards both ways and passes a reset on', async () => {
    const { left, right, toLeft, toRight } = relayed()
    const bytes = randomBytes(400_000)
    const received: Buffer[] = []
    let length = 0
    const all = new Promise<void>((resolve) =>
      right.on('data', (chunk) => {
        received.push(chunk as Buffer)
        length += (chunk as Buffer).byteLength
        if (length === bytes.byteLength) resolve()
      }),
    )
    left.write(bytes)
    await all
    expect(Buffer.concat(received).equals(bytes)).toBe(true)
    const ends = [right, toLeft].map((end) => once(end as never, 'error'))
    toRight.on('error', () => {})
    left.destroy()
    for (const [error] of await Promise.all(ends)) expect((error as { code: string }).code).toBe('ECONNRESET')
  })

  // Goal: once both ends have found a direct way, the relay leaves without a trace.
  test('leaves the ends connected when they have changed to a direct way and the relay closes', async () => {
    const { a, b, left, right, toLeft, toRight } = relayed({ firewall: () => false })
    left.write('by the relay')
    expect(String((await once(right as never, 'data'))[0])).toBe('by the relay')
    await Promise.all([left.changeRemote(a, 2, portOf(b)), right.changeRemote(b, 1, portOf(a))])
    const gone = Promise.all([once(toLeft as never, 'close'), once(toRight as never, 'close')])
    toLeft.destroy()
    await gone
    for (const [from, to] of [
      [left, right],
      [right, left],
    ] as const) {
      from.write('directly')
      expect(String((await once(to as never, 'data'))[0])).toBe('directly')
    }
  })

  test('throws when the destination is closed, or when the stream relays already', async () => {
    const { left, right, toLeft, toRight } = relayed()
    expect(() => toLeft.relayTo(right)).toThrow('EINVAL')
    for (const end of [right, toLeft, toRight]) end.on('error', () => {})
    const closed = new Promise((resolve) => toLeft.once('close', () => resolve(undefined)))
    left.destroy()
    await closed
    const fresh = stream(toLeft.udx, 9)
    expect(() => fresh.relayTo(toLeft)).toThrow('EINVAL')
  })

  test('passes datagrams and the end of a stream on', async () => {
    const { left, right } = relayed()
    const datagram = once(right as never, 'message')
    left.trySend(Buffer.from('datagram'))
    expect(String((await datagram)[0])).toBe('datagram')
    right.resume()
    left.resume()
    const closed = Promise.all([once(left as never, 'close'), once(right as never, 'close')])
    left.end('bye')
    right.end()
    await closed
  })
})

// Goal: an error in a listener is the process's, as with any emitter; Bun hands it to the socket's own error handler.
test('an error thrown by a message listener is an uncaught exception', async () => {
  const script = `
    const { UDX } = require(${JSON.stringify(new URL('../../packages/udx/src/udx.ts', import.meta.url).pathname)})
    const socket = new UDX().createSocket()
    socket.bind(0, '127.0.0.1')
    process.on('uncaughtException', (error) => { console.log(error.message); process.exit(7) })
    socket.on('message', () => { throw new Error('from the listener') })
    socket.trySend(Buffer.from('x'), socket.address().port)
  `
  const child = Bun.spawn([process.execPath, '-e', script], { stdout: 'pipe', stderr: 'inherit', timeout: 10_000 })
  expect(await new Response(child.stdout).text()).toBe('from the listener\n')
  expect(await child.exited).toBe(7)
})
