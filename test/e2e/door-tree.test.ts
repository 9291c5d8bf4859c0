/** A daemon's door as the substituter of another machine, and of curl: the compiled binary, as users run it. */
import { describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { basename, join } from 'node:path'
import { sha256Of } from '../../src/blob/digest.ts'
import { encodeCatalog } from '../../src/catalog/encode-catalog.ts'
import { decodePackIndex, packIndexBytes } from '../../src/catalog/pack-index.ts'
import { piecesOf } from '../../src/catalog/pieces.ts'
import { FaultProxy, type ProxiedRequest } from '../support/fault-proxy.ts'
import { TemporaryDirectory } from '../support/golden.ts'
import { binaryObstacle, type LocalDaemon, type LocalEnvironment, LocalHost } from '../support/local-host.ts'
import type { MadeTree } from '../support/made-catalog.ts'
import { noise } from '../support/made-environment.ts'
import { skipUnless } from '../support/skip.ts'

const obstacle = binaryObstacle()
const binaryTest = skipUnless(obstacle === undefined, obstacle ?? '')
const curlTest = skipUnless(obstacle === undefined && Bun.which('curl') !== null, obstacle ?? 'curl is not installed')
const built = join(import.meta.dir, '../../dist/holo-peer')

const BLOBS = 1_201
const TREE: MadeTree = {
  'python.txt': { kind: 'file', text: noise('python', 2_300_000), mode: 0o755 },
  lib: {
    kind: 'directory',
    entries: Object.fromEntries(
      Array.from({ length: BLOBS - 1 }, (_, index) => [
        `module${index}.py`,
        { kind: 'file' as const, text: noise(`module ${index}`, 100 + index * 2), mode: 0o644 },
      ]),
    ),
  },
}

/** A machine with an environment and a daemon, one that lacks it, and between them what counts requests. */
class Scene implements AsyncDisposable {
  private constructor(
    private readonly folder: TemporaryDirectory,
    readonly environment: LocalEnvironment,
    readonly holder: LocalHost,
    readonly daemon: LocalDaemon,
    readonly wanting: LocalHost,
    readonly proxy: FaultProxy,
  ) {}

  static async open(): Promise<Scene> {
    const folder = new TemporaryDirectory()
    const holder = new LocalHost(folder.path)
    const environment = holder.add('made', TREE)
    const daemon = await holder.startDaemon()
    const wanting = new LocalHost(folder.path, 'identity', { home: join(folder.path, 'wanting') })
    return new Scene(folder, environment, holder, daemon, wanting, await FaultProxy.start(daemon.door))
  }

  get name(): string {
    return basename(this.environment.catalogFile)
  }

  /** The one substituter of the machine that lacks the environment. */
  settings(terms: object = {}): void {
    fs.mkdirSync(this.wanting.home, { recursive: true })
    const substituters = [{ url: this.proxy.url.href, ...terms }]
    fs.writeFileSync(join(this.wanting.home, 'settings.yaml'), JSON.stringify({ 'holo-peer': { substituters } }))
  }

  restore() {
    return this.wanting.reportOf([built, 'restore', this.environment.robotFile, '--json'])
  }

  async signed(): Promise<void> {
    while ((await fetch(new URL(`catalog/${this.name}.sig`, this.daemon.door.href).href)).status !== 200)
      await Bun.sleep(50)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]()
    await this.daemon[Symbol.asyncDispose]()
    this.folder[Symbol.dispose]()
  }
}

describe("a daemon's door", () => {
  binaryTest('brings a whole environment to another machine in some requests', async () => {
    await using scene = await Scene.open()
    scene.settings({ trusted: true })
    const source = scene.proxy.url.href
    const report = await scene.restore()
    expect(report).toMatchObject({ exitCode: 0, source, fetched: { blobs: BLOBS, bySource: { [source]: BLOBS } } })
    expect(scene.wanting.wrong(scene.environment)).toEqual([])
    expect(scene.proxy.requests.length).toBeLessThanOrEqual(10)
    expect(scene.proxy.requests.filter(({ path }) => path.startsWith('/blob/'))).toEqual([])
  })

  binaryTest('is believed for the keys that are trusted, and refused with status 4 without', async () => {
    await using scene = await Scene.open()
    scene.settings()
    scene.proxy.fault = ({ path }) => (path.endsWith('.sig') ? { kind: 'answer', status: 404 } : undefined)
    expect(await scene.restore()).toMatchObject({ exitCode: 4, error: { code: 'catalog-unsigned', blame: 'trust' } })
    scene.proxy.fault = () => undefined
    await scene.signed()
    expect(await scene.restore()).toMatchObject({ exitCode: 4, error: { blame: 'trust' } })
    const { key } = await scene.holder.reportOf([built, 'keys', 'export', '--json'])
    scene.settings({ 'trusted-keys': [key] })
    const report = await scene.restore()
    expect(report).toMatchObject({
      exitCode: 0,
      source: scene.proxy.url.href,
      published: { signer: { role: 'holder' } },
    })
    expect(scene.wanting.wrong(scene.environment)).toEqual([])
  })

  binaryTest('passes on the word of whoever built it', async () => {
    await using scene = await Scene.open()
    await scene.holder.reportOf([built, 'sign', scene.name, '--json'])
    const { key } = await scene.holder.reportOf([built, 'keys', 'export', '--json'])
    scene.settings({ 'trusted-keys': [key] })
    expect(await scene.restore()).toMatchObject({ exitCode: 0, published: { signer: { role: 'builder' } } })
  })

  binaryTest('of a machine that fetched it serves the next one', async () => {
    await using scene = await Scene.open()
    scene.settings({ trusted: true })
    expect(await scene.restore()).toMatchObject({ exitCode: 0 })
    await using second = await scene.wanting.startDaemon()
    const third = new LocalHost(scene.wanting.root, 'identity', { home: join(scene.wanting.root, 'third') })
    const substituters = [{ url: second.door.href, trusted: true }]
    fs.writeFileSync(join(third.home, 'settings.yaml'), JSON.stringify({ 'holo-peer': { substituters } }))
    const report = await third.reportOf([built, 'restore', scene.environment.robotFile, '--json'])
    expect(report).toMatchObject({ exitCode: 0, fetched: { bySource: { [second.door.href]: BLOBS } } })
  })

  binaryTest('that breaks off goes on, and one that is gone half-way costs what had not come', async () => {
    await using scene = await Scene.open()
    scene.settings({ trusted: true })
    let cuts = 0
    const isRange = (path: string, headers: ProxiedRequest['headers']) =>
      path.startsWith('/pack/') && headers.range !== undefined && !headers.range.startsWith('bytes=0-')
    scene.proxy.fault = ({ path, headers }) => {
      if (!isRange(path, headers)) return cuts > 0 ? { kind: 'close' } : undefined
      return cuts++ === 0 ? { kind: 'cut', afterBytes: 2_600_000 } : { kind: 'close' }
    }
    expect((await scene.restore()).exitCode).not.toBe(0)
    cuts = 0
    // Each attempt brings about a piece.
    scene.proxy.fault = ({ path, headers }) =>
      isRange(path, headers) && cuts++ < 6 ? { kind: 'cut', afterBytes: 1_100_000 } : undefined
    const report = await scene.restore()
    expect(report.exitCode).toBe(0)
    expect(report.fetched.blobs).toBeLessThan(BLOBS)
    expect(scene.wanting.wrong(scene.environment)).toEqual([])
  })

  curlTest('gives curl a pack that it can resume', async () => {
    await using scene = await Scene.open()
    const file = join(scene.wanting.root, 'pack')
    const url = new URL(`pack/${scene.name}`, scene.daemon.door.href).href
    const curl = async (...args: string[]) => expect(await Bun.spawn(['curl', '-sSf', ...args, url]).exited).toBe(0)
    await curl('-o', file)
    const whole = fs.readFileSync(file)
    fs.truncateSync(file, 1_000_000)
    await curl('-o', file, '-C', '-')
    expect(fs.readFileSync(file).equals(whole)).toBe(true)
    const contents = piecesOf(scene.environment.catalog).pieces.map(({ bytes }) => bytes)
    const sha256 = sha256Of(encodeCatalog(scene.environment.catalog))
    const index = decodePackIndex(whole.subarray(0, packIndexBytes(contents.length)), sha256, contents)
    expect(index.packBytes).toBe(whole.byteLength)
  })
})
