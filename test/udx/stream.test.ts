import { describe, expect, test } from 'bun:test'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { StreamOptions, UDXStream } from '../../packages/udx/src/stream.ts'
import { UDX } from '../../packages/udx/src/udx.ts'
import { opener, portOf } from './support/opened.ts'

const { bound, stream } = opener()

/** Two connected streams over two sockets bound to `bind`, reached at `host`. */
function pair(host = '127.0.0.1', bind: string | undefined = host, options?: StreamOptions) {
  const udx = new UDX()
  const [here, there] = [bound(udx, bind), bound(udx, bind)]
  const [left, right] = [stream(udx, 1, options), stream(udx, 2, options)]
  left.connect(here, 2, portOf(there), host)
  right.connect(there, 1, portOf(here), host)
  return { udx, here, there, left, right }
}

async function collect(readable: UDXStream): Promise<Buffer> {
  const chunks: Buffer[] = []
  readable.on('data', (chunk) => chunks.push(chunk as Buffer))
  await once(readable as never, 'end')
  return Buffer.concat(chunks)
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

describe('UDXStream', () => {
  for (const [name, host, bind] of [
    ['IPv4', '127.0.0.1', '127.0.0.1'],
    ['IPv6', '::1', '::1'],
    ['IPv4 over dual-stack sockets', '127.0.0.1', undefined],
    ['IPv6 over dual-stack sockets', '::1', undefined],
  ] as const) {
    test(`carries bytes both ways and closes: ${name}`, async () => {
      const { here, there, left, right } = pair(host, bind)
      const [up, down] = [randomBytes(3_000_000), randomBytes(500_000)]
      const closed = Promise.all([once(left as never, 'close'), once(right as never, 'close')])
      const received = Promise.all([collect(right), collect(left)])
      left.end(up)
      right.end(down)
      const [atRight, atLeft] = await received
      expect(sha256(atRight)).toBe(sha256(up))
      expect(sha256(atLeft)).toBe(sha256(down))
      await closed
      expect([here.idle, there.idle, left.connected, right.connected]).toEqual([true, true, false, false])
      expect(left.bytesTransmitted).toBeGreaterThan(up.byteLength)
      expect(here.bytesTransmitted).toBe(left.bytesTransmitted)
    })
  }

  test('reads what comes before it is connected, through its firewall', async () => {
    const udx = new UDX()
    const [here, there] = [bound(udx, '127.0.0.1'), bound(udx, '127.0.0.1')]
    const seen: unknown[] = []
    const right = stream(udx, 2, {
      firewall: (socket, port, host, family) => {
        seen.push([socket === there, port, host, family])
        if (!right.connected) right.connect(socket, 1, port, host)
        return false
      },
    })
    const left = stream(udx, 1)
    left.connect(here, 2, portOf(there))
    left.write('hello')
    const [chunk] = await once(right as never, 'data')
    expect(String(chunk)).toBe('hello')
    expect(seen).toEqual([[true, portOf(here), '127.0.0.1', 4]])
  })

  test('turns packets on other sockets away without a firewall', async () => {
    const udx = new UDX()
    const [here, there] = [bound(udx, '127.0.0.1'), bound(udx, '127.0.0.1')]
    const right = stream(udx, 2)
    const left = stream(udx, 1)
    left.connect(here, 2, portOf(there))
    left.write('hello')
    const probe = once(there, 'message')
    await here.send(Buffer.from('after'), portOf(there))
    await probe
    expect(right.bytesReceived).toBe(0)
  })

  test('destroy() resets the remote', async () => {
    const { left, right } = pair()
    const failed = once(right as never, 'error')
    left.destroy()
    const [error] = (await failed) as [Error & { code: string }]
    expect(error.code).toBe('ECONNRESET')
  })

  test('flush() resolves once all is acked, with false when the stream closes before', async () => {
    const { left, right } = pair()
    right.resume()
    left.write(Buffer.alloc(300_000))
    expect(await left.flush()).toBe(true)
    expect(right.bytesReceived).toBeGreaterThan(300_000)
    const silent = stream(left.udx, 5)
    silent.connect(bound(left.udx, '127.0.0.1'), 99, portOf(bound(left.udx, '127.0.0.1')))
    silent.write('nobody')
    const flushed = silent.flush()
    setImmediate(() => silent.destroy())
    expect(await flushed).toBe(false)
  })

  test('send() carries datagrams beside the stream', async () => {
    const { left, right } = pair()
    const came = once(right as never, 'message')
    expect(await left.send(Buffer.from('datagram'))).toBe(true)
    const [message] = await came
    expect(String(message)).toBe('datagram')
    left.trySend(Buffer.alloc(0))
    const [empty] = await once(right as never, 'message')
    expect((empty as Buffer).byteLength).toBe(0)
  })

  test('framed streams hand on a frame at a time', async () => {
    const { left, right } = pair('127.0.0.1', '127.0.0.1', { framed: true })
    const frame = Buffer.alloc(3 + 40_000, 7)
    frame.writeUIntLE(40_000, 0, 3)
    left.write(frame)
    const [chunk] = await once(right as never, 'data')
    expect((chunk as Buffer).equals(frame)).toBe(true)
  })

  test('changeRemote() moves a live stream to other sockets', async () => {
    const { udx, here, there, left, right } = pair('127.0.0.1', '127.0.0.1', { firewall: () => false })
    const bytes = randomBytes(2_000_000)
    const received = collect(right)
    left.write(bytes.subarray(0, 1_000_000))
    await once(right as never, 'data')
    const fresh = bound(udx, '127.0.0.1')
    const changed = left.changeRemote(fresh, 2, portOf(there))
    expect(() => left.changeRemote(fresh, 2, portOf(there))).toThrow('Remote already changing')
    await Promise.all([changed, right.changeRemote(there, 1, portOf(fresh))])
    await here.close()
    left.end(bytes.subarray(1_000_000))
    right.end()
    expect(sha256(await received)).toBe(sha256(bytes))
    expect(left.socket === fresh || left.destroyed).toBe(true)
  })

  test('connect() refuses what cannot be', () => {
    const udx = new UDX()
    const socket = bound(udx, '127.0.0.1')
    const left = stream(udx, 1)
    expect(() => left.connect(socket, 2, 0)).toThrow('0 is not a valid port')
    expect(() => left.connect(socket, 2, 1, 'example.com')).toThrow('example.com is not a valid IP address')
    left.connect(socket, 2, 9)
    expect(() => left.connect(socket, 2, 9)).toThrow('Already connected')
  })

  test('toJSON() tells what the stream is about', () => {
    const { left, there } = pair()
    expect(left.toJSON()).toMatchObject({
      id: 1,
      connected: true,
      remoteId: 2,
      remoteHost: '127.0.0.1',
      remoteFamily: 4,
      remotePort: portOf(there),
      mtu: 1200,
      socket: { bound: true, streams: 1, busy: true },
    })
  })
})

describe('UDXSocket', () => {
  test('bind() is synchronous, and throws at once where the port is taken', () => {
    const udx = new UDX()
    const socket = bound(udx, '127.0.0.1')
    expect(socket.address()).toEqual({ host: '127.0.0.1', family: 4, port: portOf(socket) })
    const second = udx.createSocket()
    expect(() => second.bind(portOf(socket), '127.0.0.1')).toThrow('EADDRINUSE')
    expect(second.bound).toBe(false)
    expect(() => socket.bind(0)).toThrow('Already bound')
    expect(() => second.bind(0, 'localhost')).toThrow('localhost is not a valid IP address')
  })

  test('send() delivers datagrams with the sender in plain notation', async () => {
    const udx = new UDX()
    const [v4, dual] = [bound(udx, '127.0.0.1'), bound(udx)]
    for (const [from, to, ttl] of [
      [v4, dual, 0],
      [dual, v4, 5],
    ] as const) {
      const came = once(to, 'message')
      expect(await from.send(Buffer.from([7]), portOf(to), '127.0.0.1', ttl)).toBe(true)
      const [message, sender] = await came
      expect(message).toEqual(Buffer.from([7]))
      expect(sender).toEqual({ host: '127.0.0.1', family: 4, port: portOf(from) })
    }
  })

  test('an unreachable destination does not disturb the others', async () => {
    const udx = new UDX()
    const [from, to, gone] = [bound(udx, '127.0.0.1'), bound(udx, '127.0.0.1'), bound(udx, '127.0.0.1')]
    const port = portOf(gone)
    await gone.close()
    const came = new Promise<number>((resolve) => {
      let count = 0
      to.on('message', () => {
        if (++count === 20) resolve(count)
      })
    })
    for (let i = 0; i < 20; i++) {
      from.trySend(Buffer.from('x'), port)
      await from.send(Buffer.from('y'), portOf(to))
    }
    expect(await came).toBe(20)
  })

  test('close() waits for its streams, and tells idle and busy', async () => {
    const { here, left, right } = pair()
    right.on('error', () => {})
    const order: string[] = []
    here.on('close', () => order.push('close'))
    left.on('close', () => order.push('stream'))
    expect(here.busy).toBe(true)
    const closed = here.close()
    expect(here.closing).toBe(true)
    expect(await here.send(Buffer.from('x'), 1)).toBe(false)
    left.destroy()
    await closed
    expect(order).toContain('close')
    expect(here.idle).toBe(true)
    await here.close()
  })

  test('a socket that was never bound closes, too', async () => {
    await new UDX().createSocket().close()
  })

  test('setRecvBufferSize() and setTTL() reach the system', () => {
    const socket = bound(new UDX(), '127.0.0.1')
    socket.setTTL(32)
    if (process.platform !== 'linux') return
    expect(socket.setRecvBufferSize(300_000)).toBeGreaterThanOrEqual(300_000)
    expect(socket.getRecvBufferSize()).toBeGreaterThanOrEqual(300_000)
    expect(socket.setSendBufferSize(300_000)).toBe(socket.getSendBufferSize())
  })

  test('addMembership() joins a group', () => {
    const socket = bound(new UDX(), '0.0.0.0')
    socket.addMembership('239.255.49.73', '127.0.0.1')
    socket.dropMembership('239.255.49.73', '127.0.0.1')
  })
})

describe('UDX', () => {
  test('networkInterfaces() lists loopback, and a watcher can be destroyed', async () => {
    const udx = new UDX()
    expect(udx.networkInterfaces()).toContainEqual({ name: 'lo', host: '127.0.0.1', family: 4, internal: true })
    const watcher = udx.watchNetworkInterfaces()
    expect([...watcher]).toEqual(udx.networkInterfaces())
    await watcher.destroy()
  })

  test('lookup() resolves a name', async () => {
    expect(await new UDX().lookup('localhost', { family: 4 })).toEqual({ host: '127.0.0.1', family: 4 })
  })

  // Goal: a process that has closed everything ends by itself, however recently its streams closed.
  test('leaves nothing that keeps a process alive', async () => {
    const script = `
      const { UDX } = require(${JSON.stringify(new URL('../../packages/udx/src/udx.ts', import.meta.url).pathname)})
      const udx = new UDX()
      const [a, b] = [udx.createSocket(), udx.createSocket()]
      a.bind(0, '127.0.0.1'); b.bind(0, '127.0.0.1')
      const [x, y] = [udx.createStream(1), udx.createStream(2)]
      x.connect(a, 2, b.address().port); y.connect(b, 1, a.address().port)
      y.on('error', () => {}).on('data', () => { x.destroy(); a.close(); b.close() }).on('close', () => y.destroy())
      udx.watchNetworkInterfaces()
      x.setKeepalive(1000)
      x.write('x')
    `
    const child = Bun.spawn([process.execPath, '-e', script], { stdout: 'inherit', stderr: 'inherit' })
    const started = performance.now()
    expect(await child.exited).toBe(0)
    expect(performance.now() - started).toBeLessThan(3000)
  })
})
