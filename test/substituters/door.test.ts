// Goal: a daemon's door is a substituter like any web server.
import { expect, test } from 'bun:test'
import { never } from '../../src/base/clock.ts'
import { openSubstituter } from '../../src/substituters/open-substituter.ts'
import { doorOf, libraryOf } from '../support/door-of.ts'
import { FaultProxy } from '../support/fault-proxy.ts'
import { FetchingLibrary } from '../support/fetching-library.ts'
import { TemporaryDirectory } from '../support/golden.ts'
import { AROUND, addressOf, conforms, conformsUnderFaults, environment, SECRET, TERMS } from './conformance.ts'

/** @param bytesMax room for prepared frames */
async function openBehindDoor(bytesMax = 1 << 30) {
  const folder = new TemporaryDirectory()
  const library = await libraryOf(folder.path, environment)
  let nowMs = 0
  const door = await doorOf(library, {
    access: { token: SECRET },
    clock: { nowMs: () => (nowMs += 60_000) },
    pieces: { bytesMax },
  })
  const proxy = await FaultProxy.start(new URL(door.url))
  const terms = { ...TERMS, credentialsEnv: 'SECRET' }
  const around = { ...AROUND, environment: { SECRET: `Bearer ${SECRET}` } }
  const substituter = openSubstituter(addressOf(proxy.url.href), terms, around)
  return {
    door,
    proxy,
    substituter,
    [Symbol.asyncDispose]: async () => {
      await substituter[Symbol.asyncDispose]()
      await proxy[Symbol.asyncDispose]()
      await door[Symbol.asyncDispose]()
      folder[Symbol.dispose]()
    },
  }
}

const place = {
  name: 'the door of a daemon',
  test,
  open: openBehindDoor,
  isBulk: ({ path }: { readonly path: string }) => path.startsWith('/pack/'),
}
conforms(place)
conformsUnderFaults(place)

test('the door of a daemon costs some requests for a whole environment, prepared or not', async () => {
  await using opened = await openBehindDoor()
  for (const frames of [false, true]) {
    if (frames) await opened.door.pieces.prepare(environment.sha256, { frames }, never)
    opened.proxy.requests.length = 0
    await using library = new FetchingLibrary(environment)
    await opened.substituter.find(environment.name, never)
    await library.fetch(opened.substituter)
    expect(opened.proxy.requests.length).toBeLessThanOrEqual(10)
    expect([library.held.length, await library.wrong()]).toEqual([environment.refs.length, []])
  }
})

test('a pack that becomes another one while it is read is begun again, and nobody is blamed', async () => {
  await using opened = await openBehindDoor()
  await using unprepared = await openBehindDoor()
  const { proxy, door, substituter } = opened
  await door.pieces.prepare(environment.sha256, { frames: true }, never)
  let hasChanged = false
  proxy.route = ({ headers }) => {
    hasChanged ||= headers['if-range'] !== undefined
    return hasChanged ? new URL(unprepared.door.url) : undefined
  }
  await using library = new FetchingLibrary(environment)
  await library.fetch(substituter)
  expect([library.held.length, await library.wrong()]).toEqual([environment.refs.length, []])
  expect(proxy.requests.filter(({ path }) => path.startsWith('/blob/'))).toEqual([])
})

test('servers behind one name that never agree on a pack give blobs one by one', async () => {
  await using opened = await openBehindDoor()
  await using unprepared = await openBehindDoor()
  const { proxy, door, substituter } = opened
  await door.pieces.prepare(environment.sha256, { frames: true }, never)
  proxy.route = ({ headers }) => (headers['if-range'] === undefined ? undefined : new URL(unprepared.door.url))
  await using library = new FetchingLibrary(environment)
  await library.fetch(substituter)
  expect([library.held.length, await library.wrong()]).toEqual([environment.refs.length, []])
})
