import { afterAll, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { openDoor } from '../../src/app/door.ts'
import { never } from '../../src/base/clock.ts'
import { DEFAULT_SETTINGS } from '../../src/config/settings.ts'
import { Library } from '../../src/store/library.ts'
import { failureOf } from '../support/failure-of.ts'
import { rootsIn, TemporaryDirectory } from '../support/golden.ts'

const folder = new TemporaryDirectory()
afterAll(() => folder[Symbol.dispose]())
const behind = {
  library: new Library(rootsIn(folder.path)),
  served: { seen: () => undefined, signaturesOf: () => undefined },
  pieces: {
    forms: () => undefined,
    areKept: () => false,
    inForm: async () => undefined,
    hashes: async function* () {},
  },
  bring: async () => {},
  ended: never,
}
const token = 'a-token-of-enough-characters'

/** A port of loopback that is free, and one that is not until the end of the scope. */
async function port(): Promise<{ readonly number: number } & AsyncDisposable> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const place = server.address()
  const number = typeof place === 'object' ? (place?.port ?? 0) : 0
  return { number, [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())) }
}

async function freePort(): Promise<number> {
  await using held = await port()
  return held.number
}

function tokenFile(text: string, mode: number): string {
  const path = join(folder.path, `${Bun.hash(text + mode)}.token`)
  fs.writeFileSync(path, text, { mode })
  return path
}

test('openDoor() opens none where it is switched off or its port is taken', async () => {
  await using taken = await port()
  const settings = { ...DEFAULT_SETTINGS.door, port: taken.number }
  expect(await openDoor(settings, behind)).toBeUndefined()
  expect(await openDoor({ ...settings, enabled: false, address: '0.0.0.0' }, behind)).toBeUndefined()
})

test('openDoor() takes the token from its file or the environment', async () => {
  const settings = { ...DEFAULT_SETTINGS.door, port: await freePort(), tokenFile: tokenFile(`${token}\n`, 0o600) }
  for (const [each, right] of [
    [settings, token],
    [{ ...settings, token: `${token}2` }, `${token}2`],
  ] as const) {
    await using door = await openDoor(each, behind)
    const statusWith = async (authorization: string) =>
      (await fetch(`${door?.url}/holo-cache-info`, { headers: { authorization } })).status
    expect(await Promise.all([statusWith(right), statusWith('other')])).toEqual([200, 401])
  }
})

test('openDoor() refuses to let in everybody, and tokens that are none', async () => {
  const settings = { ...DEFAULT_SETTINGS.door, port: await freePort(), address: '0.0.0.0' }
  const failure = (special: Partial<typeof settings>) => failureOf(openDoor({ ...settings, ...special }, behind))
  expect(await failure({})).toMatchObject({ code: 'door-unprotected', blame: 'input' })
  expect(await failure({ token: 'short' })).toMatchObject({ code: 'door-token-weak', blame: 'input' })
  expect(await failure({ tokenFile: tokenFile('short', 0o600) })).toMatchObject({ code: 'door-token-weak' })
  expect(await failure({ tokenFile: tokenFile(token, 0o644) })).toMatchObject({ code: 'secret-exposed', blame: 'host' })
  expect(await failure({ tokenFile: join(folder.path, 'absent') })).toMatchObject({ code: 'settings-invalid' })
})
