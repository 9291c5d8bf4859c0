/**
 * The real rcc and rccremote, named by RCC_BIN and RCCREMOTE_BIN: `rcc holotree pull` of the same environment from the
 * same host, for comparison only.
 *
 * rccremote serves a shared holotree only, so it gets a library of its own at `/opt/robocorp/ht/lib` of its host.
 */
import * as fs from 'node:fs'
import { join, resolve } from 'node:path'
import { rootsIn } from '../../test/support/golden.ts'
import type { Host } from '../../test/support/lan.ts'
import type { Stock } from './stock.ts'

const PORT = 4653

/** Why rcc cannot be measured here, or undefined where it can. */
export function rccObstacle(): string | undefined {
  for (const name of ['RCC_BIN', 'RCCREMOTE_BIN']) {
    const path = process.env[name]
    if (path === undefined) return `${name} is not set`
    if (!fs.existsSync(path)) return `${name} names no file`
  }
  return undefined
}

export class RccRemote implements AsyncDisposable {
  #server: Bun.Subprocess | undefined
  readonly #opt: string

  constructor(
    private readonly host: Host,
    private readonly client: Host,
    private readonly stock: Stock,
  ) {
    this.#opt = join(host.folder, 'opt')
    const home = join(host.folder, 'remote')
    const lib = join(this.#opt, 'robocorp', 'ht', 'lib')
    stock.install(home, 'gzip')
    fs.mkdirSync(join(lib, '..'), { recursive: true })
    fs.renameSync(rootsIn(home).hololib, lib)
    fs.mkdirSync(join(lib, 'catalog', 'init'))
    const markers = [join(lib, '..', 'shared.yes'), join(lib, 'catalog', 'init', 'commons.tof')]
    for (const path of [...markers, join(lib, 'catalog', 'init', rootsIn(home).userIdentity)])
      fs.writeFileSync(path, 'OK!')
  }

  /** Start rccremote anew: then it has no zip. */
  async restart(): Promise<void> {
    await this[Symbol.asyncDispose]()
    const temporary = join(this.host.folder, 'remote-tmp')
    fs.mkdirSync(temporary, { recursive: true })
    this.#server = this.host.spawn(
      [
        ...['sh', '-c', 'mount --bind "$0" /opt && exec "$@"', this.#opt],
        ...[resolve(process.env.RCCREMOTE_BIN ?? ''), '-hostname', this.host.address, '-port', String(PORT)],
      ],
      { env: { TMPDIR: temporary, ROBOCORP_HOME: join(this.host.folder, 'remote') } },
    )
    const knock = `for i in $(seq 200); do (exec 3<>/dev/tcp/${this.host.address}/${PORT}) 2>/dev/null && exit 0; sleep 0.05; done; exit 1`
    const { exitCode } = await this.client.run(['bash', '-c', knock])
    if (exitCode !== 0) throw new Error('rccremote does not answer')
  }

  /**
   * Pull into an empty library, which is removed again.
   *
   * @returns milliseconds from the start of rcc to its exit
   * @throws {Error} it failed, or its library lacks something
   */
  async pullMs(): Promise<number> {
    const home = join(this.client.folder, 'rcc')
    const temporary = join(this.client.folder, 'rcc-tmp')
    fs.rmSync(home, { recursive: true, force: true })
    for (const path of [home, temporary, join(this.client.folder, 'opt')]) fs.mkdirSync(path, { recursive: true })
    const pull = [
      'holotree',
      'pull',
      '--origin',
      `http://${this.host.address}:${PORT}`,
      '--robot',
      this.stock.robotFile,
    ]
    const ownOpt = ['sh', '-c', 'mount --bind "$0" /opt && exec "$@"', join(this.client.folder, 'opt')]
    const startedMs = performance.now()
    const { exitCode, stderr } = await this.client.run([...ownOpt, resolve(process.env.RCC_BIN ?? ''), ...pull], {
      env: { ROBOCORP_HOME: home, TMPDIR: temporary },
    })
    const ms = performance.now() - startedMs
    if (exitCode !== 0) throw new Error(`rcc pull ended with ${exitCode}: ${stderr.slice(-2_000)}`)
    const { lacking, wrong } = this.stock.inspect(home)
    if (lacking + wrong > 0) throw new Error(`rcc pull left out ${lacking} blobs, and ${wrong} are wrong`)
    fs.rmSync(home, { recursive: true })
    return ms
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server?.kill('SIGTERM')
    await this.#server?.exited
    this.#server = undefined
  }
}
