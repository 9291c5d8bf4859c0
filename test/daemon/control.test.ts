import { afterAll, expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { never } from '../../src/base/clock.ts'
import { HoloError } from '../../src/base/errors.ts'
import {
  controlAnswers,
  daemonBring,
  daemonFetch,
  daemonFind,
  daemonStatus,
  reloadDaemon,
} from '../../src/daemon/control-client.ts'
import type { BringEvent, DaemonStatus, FetchEvent, WireTotals } from '../../src/daemon/control-protocol.ts'
import { type ControlHandlers, serveControl } from '../../src/daemon/control-server.ts'
import { DaemonUnusableError } from '../../src/daemon/daemon-unusable-error.ts'
import { skipForgivenUnless } from '../support/skip.ts'

const folder = mkdtempSync(join(tmpdir(), 'holo-control-'))
afterAll(() => rmSync(folder, { recursive: true }))
let count = 0
const freshSocket = () => join(folder, `${count++}.sock`)

const totals: WireTotals = { blobs: 1, blobBytes: 2, wireBytes: 3, bySource: { a: 1 }, dropped: {} }
const status: DaemonStatus = {
  version: '1',
  pid: 7,
  fleets: ['f'],
  key: 'k',
  port: 1,
  lanePort: 2,
  catalogs: [],
  published: [],
  peers: [],
  substituters: [],
  sentBytes: 0,
  fetching: [],
  leases: [],
  banned: [],
}
const sha256 = 'a'.repeat(64)
const published = { grounds: 'member' as const, isSigned: true, believed: ['{}\n'], strangers: [] }
const found = { source: 'peer x', sha256, stored: 'AAAA', published, warnings: [] }
const begun = {
  event: 'found' as const,
  source: 'peer x',
  published,
  warnings: ['it is old'],
  blobs: 12,
  missing: { blobs: 9, bytes: 99 },
}

function handlersOf(overrides: Partial<ControlHandlers>): ControlHandlers {
  return {
    status: () => status,
    find: async () => found,
    fetch: () => ({ progress: () => ({ totals, blobs: 9 }), done: Promise.resolve() }),
    bring: async () => ({
      found: begun,
      job: { progress: () => ({ totals, blobs: 9 }), done: Promise.resolve() },
    }),
    reload: async () => {},
    ...overrides,
  }
}

async function collect<Event>(events: AsyncIterable<Event>): Promise<Event[]> {
  const all: Event[] = []
  for await (const event of events) all.push(event)
  return all
}

test('serveControl() answers status, find and reload, and is gone after disposal', async () => {
  const socket = freshSocket()
  let reloads = 0
  {
    await using _server = await serveControl(socket, handlersOf({ reload: async () => void reloads++ }))
    expect(statSync(socket).mode & 0o777).toBe(0o600)
    expect(await daemonStatus(socket, never)).toEqual(status)
    expect(await daemonFind(socket, { catalog: 'x', allowRollback: false, refresh: false }, never)).toEqual(found)
    expect(await reloadDaemon(socket, never)).toBe(true)
    expect(reloads).toBe(1)
  }
  expect(existsSync(socket)).toBe(false)
  expect(await daemonStatus(socket, never)).toBeUndefined()
  expect(await reloadDaemon(socket, never)).toBe(false)
})

test('serveControl() refuses a second daemon and replaces the socket of a dead one', async () => {
  const socket = freshSocket()
  await using _server = await serveControl(socket, handlersOf({}))
  const error = await serveControl(socket, handlersOf({})).catch((e) => e)
  expect(error.code).toBe('daemon-running')

  const stale = freshSocket()
  const child = Bun.spawn([
    process.execPath,
    '-e',
    `Bun.listen({ unix: ${JSON.stringify(stale)}, socket: { data() {} } }); console.log('up'); setInterval(() => {}, 1000)`,
  ])
  for await (const _up of child.stdout) break
  child.kill('SIGKILL')
  await child.exited
  expect(existsSync(stale)).toBe(true)
  await using _second = await serveControl(stale, handlersOf({}))
  expect(await controlAnswers(stale)).toBe(true)
})

test('daemonFetch() gives progress, then the end or the error of the daemon', async () => {
  const socket = freshSocket()
  let finish = () => {}
  const slow = new Promise<void>((resolve) => {
    finish = resolve
  })
  const failing = new HoloError('no peer', { code: 'nowhere', blame: 'missing', hint: 'start one' })
  await using _server = await serveControl(
    socket,
    handlersOf({
      fetch: (catalog) => ({
        progress: () => ({ totals, blobs: 9 }),
        done: catalog === 'slow' ? slow : Promise.reject(failing),
      }),
    }),
  )
  const events: FetchEvent[] = []
  for await (const event of daemonFetch(socket, { catalog: 'slow', sha256 }, never)) {
    events.push(event)
    finish()
  }
  expect(events[0]).toEqual({ event: 'progress', totals, blobs: 9 })
  expect(events.at(-1)).toEqual({ event: 'done', totals })
  expect(await collect(daemonFetch(socket, { catalog: 'bad', sha256 }, never))).toEqual([
    { event: 'failed', totals, error: { code: 'nowhere', blame: 'missing', message: 'no peer', hint: 'start one' } },
  ])
})

test('daemonBring() tells first what was found, then as daemonFetch()', async () => {
  const socket = freshSocket()
  const wish = { catalog: 'x', local: sha256, allowRollback: true, refresh: false }
  const wishes: unknown[] = []
  const nowhere = new HoloError('no peer', { code: 'nowhere', blame: 'missing' })
  const slow = Promise.withResolvers<void>()
  await using _server = await serveControl(
    socket,
    handlersOf({
      bring: async (request) => {
        wishes.push(request)
        if (request.catalog === 'bad') throw nowhere
        return { found: begun, job: { progress: () => ({ totals, blobs: 9 }), done: slow.promise } }
      },
    }),
  )
  const events: BringEvent[] = []
  for await (const event of daemonBring(socket, wish, never)) {
    // Told at once, not when all is here.
    if (events.push(event) === 1) slow.resolve()
  }
  expect(events).toEqual([begun, { event: 'done', totals }])
  expect(wishes).toEqual([wish])
  const error = await collect(daemonBring(socket, { ...wish, catalog: 'bad' }, never)).catch((e) => e)
  expect(error).toMatchObject({ code: 'nowhere', blame: 'missing', message: 'no peer' })
})

test('a malformed request gets an error and changes nothing', async () => {
  const socket = freshSocket()
  await using _server = await serveControl(socket, handlersOf({}))
  const error = await collect(daemonFetch(socket, { catalog: 'x', sha256: 'short' }, never)).catch((e) => e)
  expect(error.code).toBe('control-malformed')
  expect(await daemonStatus(socket, never)).toEqual(status)
})

test('a daemon that does not know a request, being older, is done without', async () => {
  const socket = freshSocket()
  const error = { code: 'control-unknown', blame: 'input', message: 'The control socket knows no POST /bring' }
  using _older = Bun.serve({ unix: socket, fetch: () => Response.json({ error }, { status: 400 }) })
  const wish = { catalog: 'x', allowRollback: false, refresh: false }
  expect(await collect(daemonBring(socket, wish, never)).catch((e) => e)).toBeInstanceOf(DaemonUnusableError)
})

// Goal: a hung daemon costs a bounded wait. Method: a process that accepts connections and never answers.
test('daemonStatus() gives up on a daemon that hangs', async () => {
  const socket = freshSocket()
  const hung = Bun.listen({ unix: socket, socket: { data() {} } })
  const error = await daemonStatus(socket, never).catch((e) => e)
  expect(error).toBeInstanceOf(DaemonUnusableError)
  hung.stop(true)
})

skipForgivenUnless(process.platform === 'linux', 'only Linux reaches a longer path')(
  'serveControl() works where the path is longer than a socket may have',
  async () => {
    const deep = join(folder, 'x'.repeat(60), 'y'.repeat(60))
    mkdirSync(deep, { recursive: true })
    const socket = join(deep, 'control.sock')
    await using _server = await serveControl(socket, handlersOf({}))
    expect(await daemonStatus(socket, never)).toEqual(status)
  },
)
