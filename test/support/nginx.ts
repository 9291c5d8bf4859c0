/** A real nginx over a directory: GET and ranges for all, PUT for those who bear the right password. */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { TemporaryDirectory } from './golden.ts'

/** Why there is no nginx here, or undefined where there is. */
export function nginxObstacle(): string | undefined {
  return Bun.which('nginx', { PATH: `${process.env.PATH}:/usr/sbin` }) === null ? 'nginx is not installed' : undefined
}

export interface Nginx extends AsyncDisposable {
  readonly url: URL
  /** Method and path of every request that it has answered, from its own log. */
  requests(): string[]
}

/** @param directory is served as it is; others than this user have to be able to read it where this is root */
export async function startNginx(directory: string): Promise<Nginx> {
  const folder = new TemporaryDirectory()
  fs.chmodSync(folder.path, 0o755)
  const port = freePort()
  const at = (name: string) => join(folder.path, name)
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  const temporaries = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${at(name)};`,
  )
  fs.writeFileSync(
    at('nginx.conf'),
    `${user} worker_processes 1; daemon off; pid ${at('pid')}; error_log ${at('error.log')};
     events {}
     http {
       log_format short '$request_method $uri $status';
       access_log ${at('access.log')} short;
       ${temporaries.join(' ')}
       server {
         listen 127.0.0.1:${port}; root ${directory}; client_max_body_size 0;
         dav_methods PUT; create_full_put_path on; dav_access user:rw group:r all:r;
       }
     }`,
  )
  const path = `${process.env.PATH}:/usr/sbin`
  const child = Bun.spawn(
    [Bun.which('nginx', { PATH: path }) ?? 'nginx', '-c', at('nginx.conf'), '-e', at('error.log')],
    {
      stdout: 'ignore',
      stderr: 'pipe',
    },
  )
  const url = new URL(`http://127.0.0.1:${port}/`)
  await answers(url, child)
  return {
    url,
    requests: () =>
      fs
        .readFileSync(at('access.log'), 'utf8')
        .split('\n')
        .filter((line) => line !== '' && !line.includes('/ready')),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM')
      await child.exited
      folder[Symbol.dispose]()
    },
  }
}

/** A port that was free a moment ago. */
export function freePort(): number {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => {} } })
  const { port } = listener
  listener.stop(true)
  return port
}

/** Wait until a server answers anything at `/ready`. @throws its standard error where it ends instead */
export async function answers(url: URL, child: Bun.Subprocess<'ignore', 'ignore', 'pipe'>): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the server has ended: ${await new Response(child.stderr).text()}`)
    try {
      await fetch(new URL('ready', url.href).href)
      return
    } catch {
      await Bun.sleep(20)
    }
  }
}
