/** A real OCI registry: Debian's docker-registry, with or without a password. */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { TemporaryDirectory } from './golden.ts'
import { answers, freePort } from './nginx.ts'

/** Why there is no registry here, or undefined where there is. */
export function registryObstacle(): string | undefined {
  return Bun.which('docker-registry') === null ? 'docker-registry is not installed' : undefined
}

export interface Registry extends AsyncDisposable {
  readonly url: URL
}

/** @param credentials `user:password`; undefined: anybody may read and write */
export async function startRegistry(credentials: string | undefined): Promise<Registry> {
  const folder = new TemporaryDirectory()
  const port = freePort()
  const passwords = join(folder.path, 'htpasswd')
  const auth: Record<string, unknown> = {}
  if (credentials !== undefined) {
    const [user = '', password = ''] = credentials.split(':')
    fs.writeFileSync(passwords, `${user}:${await Bun.password.hash(password, { algorithm: 'bcrypt', cost: 4 })}\n`)
    auth.auth = { htpasswd: { realm: 'test', path: passwords } }
  }
  const configuration = {
    version: 0.1,
    log: { level: 'error' },
    storage: { filesystem: { rootdirectory: join(folder.path, 'data') } },
    http: { addr: `127.0.0.1:${port}`, secret: 'of the test' },
    ...auth,
  }
  fs.writeFileSync(join(folder.path, 'config.yml'), JSON.stringify(configuration))
  const child = Bun.spawn(['docker-registry', 'serve', join(folder.path, 'config.yml')], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'pipe',
  })
  const url = new URL(`http://127.0.0.1:${port}/`)
  await answers(url, child)
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM')
      await child.exited
      folder[Symbol.dispose]()
    },
  }
}
