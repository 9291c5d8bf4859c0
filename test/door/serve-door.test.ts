/** What strangers, slow clients and rubbish cost the door: one file for the attacks, over real sockets. */
import { afterAll, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import fc from 'fast-check'
import { never, systemClock } from '../../src/base/clock.ts'
import { DOOR_HEAD_BYTES_MAX, DOOR_WANT_BYTES_MAX } from '../../src/base/door-limits.ts'
import { CONNECTION_BOUNDS } from '../../src/door/connections.ts'
import type { Door } from '../../src/door/serve-door.ts'
import { doorOf, exchange, heard, recordedFile, recordedLibrary, request } from '../support/door-of.ts'
import { smallCold, TemporaryDirectory } from '../support/golden.ts'
import { runs } from '../support/runs.ts'
import { skipUnless } from '../support/skip.ts'

const folder = new TemporaryDirectory()
afterAll(() => folder[Symbol.dispose]())
const library = recordedLibrary(folder.path)
const name = smallCold('gzip', 1).name
const parts = request(`GET /parts/${name}`)

/** Whether the door still does its work. */
async function works(door: Door): Promise<boolean> {
  return heard(await exchange(door.port, parts)).body.equals(recordedFile('parts-v1.txt'))
}

function opened(port: number): Promise<Socket> {
  const { promise, resolve } = Promise.withResolvers<Socket>()
  const socket = connect(port, '127.0.0.1', () => resolve(socket))
  socket.on('error', () => {})
  return promise
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve()
    else socket.once('close', () => resolve())
  })
}

describe('a client that is slow', () => {
  const bounds = { ...CONNECTION_BOUNDS, headMs: 150, bodyMs: 150, stallMs: 150, lingerMs: 150 }

  test('with the head of its request is closed, also when it trickles', async () => {
    await using door = await doorOf(library, { bounds })
    const silent = await opened(door.port)
    const trickling = await opened(door.port)
    trickling.write(`GET /parts/${name} HTTP/1.1\r\n`)
    const feeding = setInterval(() => trickling.write('X-Padding: x\r\n'), 20)
    await Promise.all([closed(silent), closed(trickling)])
    clearInterval(feeding)
    expect(await works(door)).toBe(true)
  })

  test('with its body is closed, also when it trickles', async () => {
    await using door = await doorOf(library, { bounds })
    const socket = await opened(door.port)
    socket.write(`POST /delta/${name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n`)
    const feeding = setInterval(() => socket.write('0123456789\n'), 20)
    await closed(socket)
    clearInterval(feeding)
    expect(await works(door)).toBe(true)
  })

  test('with taking its answer is closed, and what was open for it with it', async () => {
    using other = new TemporaryDirectory()
    const large = recordedLibrary(other.path)
    // More than the buffers of both ends of a socket take.
    const [first = ''] = recordedFile('parts-v1.txt').toString().split('\n')
    const path = `${large.tree.directory}/${large.tree.nameOf(first as never)}`
    fs.writeFileSync(path, '')
    fs.truncateSync(path, 64 * 1024 * 1024)
    await using door = await doorOf(large, { bounds })
    const socket = await opened(door.port)
    const done = closed(socket)
    let taken = 0
    socket.on('data', (chunk) => {
      taken += chunk.length
    })
    socket.pause()
    socket.write(request(`POST /delta/${name}`, [], first))
    // A paused socket hears of its end only when it reads again.
    await systemClock.sleep(600, never)
    socket.resume()
    await done
    expect(taken).toBeLessThan(64 * 1024 * 1024)
    expect(await works(door)).toBe(true)
  })
})

describe('a client that leaves', () => {
  skipUnless(process.platform === 'linux', 'descriptors are counted in /proc')(
    'in the middle of an answer leaves nothing open',
    async () => {
      await using door = await doorOf(library)
      expect(await works(door)).toBe(true)
      const before = fs.readdirSync('/proc/self/fd').length
      const list = recordedFile('parts-v1.txt')
      for (let round = 0; round < 20; round++) {
        const socket = await opened(door.port)
        socket.write(request(`POST /delta/${name}`, [], list))
        await new Promise((resolve) => socket.once('data', resolve))
        socket.destroy()
        await closed(socket)
      }
      expect(await works(door)).toBe(true)
      expect(fs.readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before)
    },
  )

  test('does not disturb another that gets the same', async () => {
    await using door = await doorOf(library)
    const list = recordedFile('parts-v1.txt')
    const asked = request(`POST /delta/${name}`, [], list)
    const whole = heard(await exchange(door.port, asked)).body
    const leaving = await opened(door.port)
    leaving.write(asked)
    const all = Promise.all(Array.from({ length: 5 }, () => exchange(door.port, asked)))
    await new Promise((resolve) => leaving.once('data', resolve))
    leaving.destroy()
    for (const bytes of await all) expect(heard(bytes).body.equals(whole)).toBe(true)
  })
})

describe('too much', () => {
  test('connections are turned away, and room is made when one closes', async () => {
    await using door = await doorOf(library, { bounds: { ...CONNECTION_BOUNDS, connectionsMax: 3 } })
    const held = await Promise.all([opened(door.port), opened(door.port), opened(door.port)])
    const fourth = await opened(door.port)
    await closed(fourth)
    held[0]?.destroy()
    let answered = false
    while (!answered) answered = heard(await exchange(door.port, parts)).status === 200
    for (const socket of held) socket.destroy()
  })

  test('of a head is refused', async () => {
    await using door = await doorOf(library)
    const long = request(`GET /parts/${name}`, [`X-Long: ${'a'.repeat(DOOR_HEAD_BYTES_MAX)}`])
    expect([400, 431, 0]).toContain(heard(await exchange(door.port, long)).status)
    const many = request(
      `GET /parts/${name}`,
      Array.from({ length: 10_000 }, (_, index) => `X-${index}: a`),
    )
    expect([400, 431, 0]).toContain(heard(await exchange(door.port, many)).status)
    expect(await works(door)).toBe(true)
  })

  test('of a body is refused, told beforehand or not', async () => {
    await using door = await doorOf(library)
    const told = `POST /delta/${name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${DOOR_WANT_BYTES_MAX + 1}\r\n\r\n`
    expect(heard(await exchange(door.port, told)).status).toBe(413)
    const piece = `${(1024 * 1024).toString(16)}\r\n${'x'.repeat(1024 * 1024)}\r\n`
    const chunked = `POST /delta/${name} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`
    const pieces = Array.from({ length: DOOR_WANT_BYTES_MAX / 1024 / 1024 + 1 }, () => piece)
    expect(heard(await exchange(door.port, chunked, ...pieces)).status).toBe(413)
    expect(await works(door)).toBe(true)
  })

  test('at once on one connection is cut off', async () => {
    await using door = await doorOf(library)
    const one = `GET /parts/${name} HTTP/1.1\r\nHost: localhost\r\n\r\n`
    const bytes = await exchange(door.port, one.repeat(1000))
    expect(bytes.byteLength).toBeLessThan(1000 * recordedFile('parts-v1.txt').byteLength)
    expect(await works(door)).toBe(true)
  })
})

describe('a stranger', () => {
  const token = 'a-token-of-enough-characters'

  test('without the token gets 401 for whatever there is and is not, and nothing else', async () => {
    await using door = await doorOf(library, { address: '0.0.0.0', access: { token } })
    const lines = [`GET /parts/${name}`, 'GET /holo-cache-info', `HEAD /catalog/${name}`, 'GET /nope', 'PUT /x']
    for (const line of [...lines, `POST /delta/${name}`, `GET /force/${name}`, 'POST /want', 'GET //a']) {
      for (const headers of [[], ['Authorization: Bearer wrong-token-of-enough-characters']]) {
        const answer = heard(await exchange(door.port, request(line, headers)))
        expect(answer).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer' } })
        expect(['401 a token is needed here\n', '']).toContain(answer.body.toString())
      }
    }
    for (const value of [token, `Bearer ${token}`]) {
      const { status } = heard(await exchange(door.port, request(`GET /parts/${name}`, [`Authorization: ${value}`])))
      expect(status).toBe(200)
    }
  })

  test('who is a web page gets 403', async () => {
    await using door = await doorOf(library)
    const rebound = Buffer.from(`GET /parts/${name} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n`)
    expect(heard(await exchange(door.port, rebound)).status).toBe(403)
    const foreign = request(`GET /force/${name}`, ['Sec-Fetch-Site: cross-site'])
    expect(heard(await exchange(door.port, foreign)).status).toBe(403)
  })
})

describe('serveDoor()', () => {
  test('answers on both loopback addresses', async () => {
    await using door = await doorOf(library)
    const hosts = ['127.0.0.1', ...(hasIpv6() ? ['[::1]'] : [])]
    for (const host of hosts) {
      const response = await fetch(`http://${host}:${door.port}/holo-cache-info`)
      expect(await response.text()).toBe('Version: 1\nPriority: 50\n')
    }
  })

  test('takes no port that another program has on either of them', async () => {
    for (const host of ['127.0.0.1', ...(hasIpv6() ? ['::1'] : [])]) {
      const other = createServer()
      await new Promise<void>((resolve) => other.listen(0, host, resolve))
      const place = other.address()
      const port = typeof place === 'object' ? (place?.port ?? 0) : 0
      expect(doorOf(library, { port })).rejects.toMatchObject({ code: 'door-port-taken', blame: 'host' })
      await new Promise((resolve) => other.close(resolve))
      // And leaves none of the two open.
      await using door = await doorOf(library, { port })
      expect(door.port).toBe(port)
    }
  })

  test('takes no port that another door has', async () => {
    await using door = await doorOf(library)
    expect(doorOf(library, { port: door.port })).rejects.toMatchObject({ code: 'door-port-taken' })
    expect(await works(door)).toBe(true)
  })

  test('keeps a connection for the next request', async () => {
    await using door = await doorOf(library)
    const socket = await opened(door.port)
    const one = `GET /holo-cache-info HTTP/1.1\r\nHost: localhost\r\n\r\n`
    for (let round = 0; round < 200; round++) {
      socket.write(one)
      const chunk = await new Promise<Buffer>((resolve) => socket.once('data', (bytes) => resolve(Buffer.from(bytes))))
      expect(heard(chunk)).toMatchObject({ status: 200, headers: { connection: 'keep-alive' } })
    }
    socket.destroy()
  })

  test('ends what is under way when it is disposed of', async () => {
    const door = await doorOf(library, { bring: () => new Promise(() => {}) })
    const waiting = exchange(door.port, request('GET /parts/0123456789abcdefv12.linux_amd64'))
    const idle = await opened(door.port)
    await works(door)
    await door[Symbol.asyncDispose]()
    expect((await waiting).byteLength).toBe(0)
    await closed(idle)
  })

  // Goal: no bytes end the process, hang a connection, or get an answer that is none of ours.
  test('survives any request', async () => {
    await using door = await doorOf(library, { bounds: { ...CONNECTION_BOUNDS, headMs: 100, bodyMs: 100 } })
    const method = fc.constantFrom('GET', 'POST', 'HEAD', 'OPTIONS', 'CONNECT', 'TRACE', 'PATCH', 'get', 'X-Y', '')
    const target = fc.oneof(
      fc.webPath(),
      fc.string(),
      fc.stringMatching(/^\/(?:parts|delta|force|blob|catalog|want)\/[!-~]{0,40}$/),
      fc.constantFrom('*', '/%', '/%00', '/parts/%2e%2e', '//', '/..', 'http://localhost/parts/x', `/parts/${name}/`),
    )
    const header = fc.oneof(
      fc.tuple(fc.stringMatching(/^[A-Za-z-]{1,20}$/), fc.string()).map(([key, value]) => `${key}: ${value}`),
      fc.constantFrom('Range: bytes=0-', 'Transfer-Encoding: chunked', 'Content-Length: 5', 'Content-Length: -1'),
      fc.constantFrom('Upgrade: websocket', 'Expect: 100-continue', 'Expect: x', 'If-Range: x', 'Host: a', 'Host: '),
    )
    const version = fc.constantFrom('HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/9', '')
    const head = fc
      .tuple(method, target, version, fc.array(header, { maxLength: 5 }), fc.uint8Array({ maxLength: 200 }))
      .map(([verb, path, protocol, headers, body]) =>
        Buffer.concat([Buffer.from([`${verb} ${path} ${protocol}`, ...headers, '', ''].join('\r\n')), body]),
      )
    await fc.assert(
      fc.asyncProperty(fc.oneof(head, fc.uint8Array({ maxLength: 500 }).map(Buffer.from)), async (bytes) => {
        const { status } = heard(await exchange(door.port, bytes, ''))
        expect([100, 200, 304, 307, 400, 401, 403, 404, 405, 409, 413, 416, 417, 431, 0]).toContain(status)
      }),
      { numRuns: runs(60) },
    )
    expect(await works(door)).toBe(true)
  })
})

function hasIpv6(): boolean {
  return fs.existsSync('/proc/net/if_inet6') && fs.readFileSync('/proc/net/if_inet6', 'utf8').includes(' lo\n')
}
