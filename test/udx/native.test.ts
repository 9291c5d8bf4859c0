/** Against the real udx-native, on Node: both roles, both directions, both ways to close. */
import { afterEach, describe, expect } from 'bun:test'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { UDXSocket } from '../../packages/udx/src/socket.ts'
import type { UDXStream } from '../../packages/udx/src/stream.ts'
import { UDX } from '../../packages/udx/src/udx.ts'
import { skipUnless } from '../support/skip.ts'
import { nodePath, Peer } from './support/peer.ts'

const test = skipUnless(nodePath !== null, 'there is no node to run the real udx-native on')

let peer: Peer | undefined
let socket: UDXSocket | undefined
let stream: UDXStream | undefined

afterEach(async () => {
  peer?.kill()
  stream?.on('error', () => {}).destroy()
  await socket?.close()
  peer = undefined
})

interface Outcome {
  received: Buffer
  ended: boolean
  error: string | null
}

/** Meet a native peer. @param role the peer's */
async function meet(role: 'active' | 'passive', options: object, ours: { framed?: boolean } = {}) {
  const udx = new UDX()
  const here = udx.createSocket()
  here.bind(0, '127.0.0.1')
  const native = new Peer(nodePath ?? 'node', { id: 2, remoteId: 1, role, ...options })
  peer = native
  socket = here
  const made = udx.createStream(1, {
    ...ours,
    firewall(from, port, host) {
      if (made.connected) return true
      made.connect(from, 2, port, host)
      return false
    },
  })
  stream = made
  const outcome: Outcome = { received: Buffer.alloc(0), ended: false, error: null }
  const chunks: Buffer[] = []
  made.on('data', (chunk) => chunks.push(chunk as Buffer))
  made.on('end', () => {
    outcome.ended = true
  })
  made.on('error', (error) => {
    outcome.error = (error as { code?: string }).code ?? String(error)
  })
  const closed = new Promise<Outcome>((resolve) =>
    made.on('close', () => resolve({ ...outcome, received: Buffer.concat(chunks) })),
  )
  const port = await native.port()
  native.meet(here.address()?.port ?? 0)
  if (role === 'passive') made.connect(here, 2, port)
  else if (!made.connected) await once(made as never, 'connect')
  return { native, stream: made, closed }
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** What the fixture writes. */
function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; at += 4096) bytes.writeUInt32LE(at, at)
  return bytes
}

// Goal: whatever code uses of the native classes, it finds it in ours.
test('packages/udx has every public member of udx-native', async () => {
  const script = `
    const UDX = require('udx-native')
    const udx = new UDX()
    const names = (object) => Object.getOwnPropertyNames(object).filter((name) => !name.startsWith('_'))
    const all = (one) => [...new Set([...names(one), ...names(Object.getPrototypeOf(one))])]
    const watcher = udx.watchNetworkInterfaces()
    console.log(JSON.stringify({
      statics: names(UDX), udx: all(udx), socket: all(udx.createSocket()), stream: all(udx.createStream(1)),
      watcher: all(watcher),
    }))
    watcher.destroy()
    process.exit(0)
  `
  const child = Bun.spawn([nodePath ?? 'node', '-e', script], { stdout: 'pipe', stderr: 'inherit' })
  const native = JSON.parse(await new Response(child.stdout).text()) as Record<string, string[]>
  const udx = new UDX()
  const watcher = udx.watchNetworkInterfaces()
  const ours: Record<string, object> = {
    ...{ statics: UDX, udx, socket: udx.createSocket(), stream: udx.createStream(1), watcher },
  }
  const missing = Object.entries(native).flatMap(([what, names]) =>
    names.filter((name) => !(name in (ours[what] ?? {}))).map((name) => `${what}.${name}`),
  )
  await watcher.destroy()
  expect(missing).toEqual([])
})

describe('packages/udx and udx-native', () => {
  for (const role of ['active', 'passive'] as const) {
    test(`exchange data and END with a native side that is ${role}`, async () => {
      const up = randomBytes(4_000_000)
      const { native, stream: ours, closed } = await meet(role, { bytes: 3_145_728, expect: up.byteLength })
      ours.write(up)
      ours.end()
      const report = await native.report()
      expect(report).toMatchObject({ received: up.byteLength, hash: sha256(up), ended: true, error: null, mtu: 1500 })
      const { received, ended, error } = await closed
      expect(sha256(received)).toBe(sha256(pattern(3_145_728)))
      expect([ended, error]).toEqual([true, null])
    })

    test(`hear a native side that is ${role} reset`, async () => {
      const { stream: ours, closed, native } = await meet(role, { bytes: 4096, expect: 5000, finish: 'destroy' })
      ours.write(randomBytes(5000))
      expect(await native.report()).toMatchObject({ received: 5000, error: null })
      expect((await closed).error).toBe('ECONNRESET')
    })

    test(`reset a native side that is ${role}`, async () => {
      const { stream: ours, native } = await meet(role, { bytes: 4096, expect: 1e9, finish: 'destroy' })
      if (role === 'passive') ours.write('x')
      ours.once('data', () => ours.destroy())
      expect(await native.report()).toMatchObject({ error: 'ECONNRESET' })
    })
  }

  test('exchange datagrams beside the stream', async () => {
    const { stream: ours, native } = await meet('passive', { expect: 3, finish: 'destroy' })
    for (let i = 0; i < 5; i++) await ours.send(Buffer.from('datagram'))
    ours.write('end')
    expect(await native.report()).toMatchObject({ messages: 5, received: 3 })
  })
})
