/**
 * The real rccremote, named by RCCREMOTE_BIN, on loopback, with an /opt of its own: there it wants a shared holotree. Needs
 * root and mount namespaces.
 */
import * as fs from 'node:fs'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { rootsIn } from './golden.ts'
import { skipForgivenUnless, skipUnless } from './skip.ts'

export const rccremoteBinary = process.env.RCCREMOTE_BIN === undefined ? undefined : resolve(process.env.RCCREMOTE_BIN)

const canMount = process.platform === 'linux' && Bun.spawnSync(['unshare', '-m', 'true']).exitCode === 0
/** `test` where RCCREMOTE_BIN names an rccremote that can run here. */
export const rccremoteTest =
  rccremoteBinary === undefined
    ? skipForgivenUnless(false, 'RCCREMOTE_BIN names no rccremote')
    : skipUnless(canMount, 'mount namespaces need root')

/** To be run by `sh -c` with the folder and a command behind it. */
export const WITH_OWN_OPT = 'mount --bind "$0" /opt && exec "$@"'

/** A server on loopback that is ready; disposing of it ends its process. */
export interface LocalServer extends AsyncDisposable {
  readonly port: number
  readonly origin: string
}

/** @returns a TCP port of loopback that was free just now */
export async function freePort(): Promise<number> {
  const { promise, resolve: done } = Promise.withResolvers<number>()
  const server = createServer().listen(0, '127.0.0.1', () => {
    const place = server.address()
    server.close(() => done(typeof place === 'object' ? (place?.port ?? 0) : 0))
  })
  return promise
}

/** Resolve once `child` answers HTTP on `port`. @throws {Error} it ended before */
export async function listening(child: Bun.Subprocess, port: number): Promise<LocalServer> {
  const origin = `http://127.0.0.1:${port}`
  while (!(await fetch(`${origin}/`).then(Boolean, () => false))) {
    if (child.exitCode !== null) throw new Error(`the server for ${origin} ended with ${child.exitCode}`)
    await Bun.sleep(5)
  }
  return {
    port,
    origin,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM')
      await child.exited
    },
  }
}

/** A shared holotree of the golden user, with a copy of this library. @returns what is to stand at /opt */
export function sharedHolotree(hololib: string, folder: string): string {
  const opt = fs.mkdtempSync(join(folder, 'opt-'))
  const lib = join(opt, 'robocorp', 'ht', 'lib')
  fs.cpSync(hololib, lib, { recursive: true })
  const init = join(lib, 'catalog', 'init')
  fs.mkdirSync(init)
  for (const name of ['commons.tof', rootsIn(folder).userIdentity]) fs.writeFileSync(join(init, name), 'OK!')
  return opt
}

/** @param opt from `sharedHolotree` @param folder for what it writes */
export async function startRccremote(opt: string, folder: string): Promise<LocalServer> {
  if (rccremoteBinary === undefined) throw new Error('RCCREMOTE_BIN names no rccremote')
  const port = await freePort()
  const temporary = fs.mkdtempSync(join(folder, 'tmp-'))
  const server = [rccremoteBinary, '-port', `${port}`, '-hostname', '127.0.0.1']
  const env = {
    PATH: process.env.PATH ?? '',
    HOME: '/home/robot',
    ROBOCORP_HOME: join(temporary, 'home'),
    TMPDIR: temporary,
  }
  const silent = { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' } as const
  return listening(
    Bun.spawn(['unshare', '--mount', 'sh', '-c', WITH_OWN_OPT, opt, ...server], { ...silent, env }),
    port,
  )
}
