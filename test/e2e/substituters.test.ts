/** Environments pushed to a real web server and restored from it: the compiled binary, as a user runs it. */
import { describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { basename, join } from 'node:path'
import { TemporaryDirectory } from '../support/golden.ts'
import { binaryObstacle, type LocalEnvironment, LocalHost } from '../support/local-host.ts'
import type { MadeTree } from '../support/made-catalog.ts'
import { noise } from '../support/made-environment.ts'
import { type Nginx, nginxObstacle, startNginx } from '../support/nginx.ts'
import { skipUnless } from '../support/skip.ts'

const obstacle = binaryObstacle() ?? nginxObstacle()
const serverTest = skipUnless(obstacle === undefined, obstacle ?? '')
const built = join(import.meta.dir, '../../dist/holo-peer')

const TREE: MadeTree = {
  'python.txt': { kind: 'file', text: noise('python', 2_300_000), mode: 0o755 },
  lib: {
    kind: 'directory',
    entries: Object.fromEntries(
      Array.from({ length: 40 }, (_, index) => [
        `module${index}.py`,
        { kind: 'file' as const, text: noise(`module ${index}`, 100 + index * 500), mode: 0o644 },
      ]),
    ),
  },
}

/** A machine that has an environment, one that lacks it, and nginx between them. */
class Scene implements AsyncDisposable {
  readonly environment: LocalEnvironment
  readonly holder: LocalHost
  readonly wanting: LocalHost
  readonly tree: string

  private constructor(
    private readonly folder: TemporaryDirectory,
    readonly nginx: Nginx,
    tree: string,
  ) {
    this.tree = tree
    this.holder = new LocalHost(folder.path)
    this.environment = this.holder.add('made', TREE)
    this.wanting = new LocalHost(folder.path, 'identity', { home: join(folder.path, 'wanting') })
  }

  static async open(): Promise<Scene> {
    const folder = new TemporaryDirectory()
    fs.chmodSync(folder.path, 0o755)
    const tree = join(folder.path, 'tree')
    fs.mkdirSync(tree)
    return new Scene(folder, await startNginx(tree), tree)
  }

  get name(): string {
    return basename(this.environment.catalogFile)
  }

  push(...args: string[]) {
    return this.holder.reportOf([built, 'push', ...args, '--json'])
  }

  settings(substituters: readonly unknown[]): void {
    fs.writeFileSync(join(this.wanting.home, 'settings.yaml'), JSON.stringify({ 'holo-peer': { substituters } }))
  }

  restore(...args: string[]) {
    return this.wanting.reportOf([built, 'restore', this.environment.robotFile, ...args, '--json'])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.nginx[Symbol.asyncDispose]()
    this.folder[Symbol.dispose]()
  }
}

describe('a substituter', () => {
  serverTest('is pushed to and restored from, in some requests, and pushed to again for nothing', async () => {
    await using scene = await Scene.open()
    const { href } = scene.nginx.url
    const dry = await scene.push(href, '--dry-run')
    expect(dry).toMatchObject({
      ok: true,
      exitCode: 0,
      environments: [{ blobs: 41, blobsSent: 41, catalogSent: true }],
    })
    expect(fs.readdirSync(scene.tree)).toEqual([])
    expect(await scene.push(href)).toMatchObject({ exitCode: 0, environments: [{ blobsSent: 41, catalogSent: true }] })
    // Left by a push that was killed: no process has this number.
    const left = join(scene.holder.home, 'holo-peer', 'push-2147483647-x')
    fs.mkdirSync(left)
    expect(await scene.push(href)).toMatchObject({
      environments: [{ blobsSent: 0, packBytesSent: 0, catalogSent: false }],
    })
    expect(fs.existsSync(left)).toBe(false)

    scene.settings([{ url: href, trusted: true }])
    const before = scene.nginx.requests().length
    const report = await scene.restore()
    expect(report).toMatchObject({
      ok: true,
      exitCode: 0,
      source: href,
      fetched: { blobs: 41, bySource: { [href]: 41 } },
    })
    expect(scene.wanting.wrong(scene.environment)).toEqual([])
    expect(scene.wanting.leftovers()).toEqual([])
    expect(scene.nginx.requests().length - before).toBeLessThanOrEqual(10)
  })

  serverTest('is believed for the keys that its entry trusts, and refused with status 4 without', async () => {
    await using scene = await Scene.open()
    const { href } = scene.nginx.url
    await scene.push(href)
    scene.settings([href])
    expect(await scene.restore()).toMatchObject({ exitCode: 4, error: { code: 'catalog-unsigned', blame: 'trust' } })

    await scene.holder.reportOf([built, 'sign', scene.name, '--json'])
    // Only the signature is new.
    const pushed = { blobsSent: 0, packBytesSent: 0, catalogSent: false, signaturesSent: true }
    expect(await scene.push(href)).toMatchObject({ environments: [pushed] })
    expect(await scene.push(href)).toMatchObject({ environments: [{ signaturesSent: false }] })
    expect(await scene.restore()).toMatchObject({ exitCode: 4, error: { blame: 'trust' } })
    const { key } = await scene.holder.reportOf([built, 'keys', 'export', '--json'])
    scene.settings([{ url: href, 'trusted-keys': [key] }])
    expect(await scene.restore()).toMatchObject({ ok: true, exitCode: 0, source: href })
    expect(scene.wanting.wrong(scene.environment)).toEqual([])
  })

  serverTest('that is gone, and one that sends rubbish, are passed over', async () => {
    await using scene = await Scene.open()
    await scene.push(scene.nginx.url.href)
    using rubbish = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response('<html>hello</html>') })
    // Nobody answers there, ever: TEST-NET-1 of RFC 5737.
    const gone = 'http://192.0.2.1:8080/'
    const urls = [gone, rubbish.url.href, scene.nginx.url.href]
    scene.settings(urls.map((url) => ({ url, trusted: true })))
    const report = await scene.restore()
    expect(report).toMatchObject({ ok: true, exitCode: 0, source: scene.nginx.url.href })
    expect(Object.keys(report.fetched.bySource)).toEqual([scene.nginx.url.href])
  })

  serverTest('that lies about blobs is named and left, and another one has them', async () => {
    await using scene = await Scene.open()
    await scene.push(scene.nginx.url.href)
    using liar = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: async (request) => {
        const path = new URL(request.url).pathname
        if (path.startsWith('/catalog/')) return fetch(new URL(path, scene.nginx.url).href)
        if (path.startsWith('/blob/')) return new Response('not what was asked for')
        return new Response('', { status: 404 })
      },
    })
    scene.settings([
      { url: liar.url.href, trusted: true },
      { url: scene.nginx.url.href, trusted: true },
    ])
    const report = await scene.restore()
    expect(report).toMatchObject({ ok: true, exitCode: 0 })
    expect(report.fetched.dropped).toMatchObject([{ source: liar.url.href, code: 'blob-corrupt' }])
    expect(scene.wanting.wrong(scene.environment)).toEqual([])
  })

  serverTest('is asked by the daemon, whose memory of what it lacks `--refresh` clears', async () => {
    await using scene = await Scene.open()
    const { href } = scene.nginx.url
    scene.settings([{ url: href, trusted: true }])
    const daemon = scene.wanting.spawn([built, 'daemon', '--json', '--quiet'], {
      HOLO_PEER_MULTICAST: 'false',
    })
    try {
      for await (const _ready of daemon.stdout) break
      expect(await scene.restore()).toMatchObject({ exitCode: 3, error: { code: 'environment-nowhere' } })
      await scene.push(href)
      expect(await scene.restore()).toMatchObject({ exitCode: 3 })
      const fetch = [built, 'fetch', scene.environment.robotFile, '--refresh', '--json']
      expect(await scene.wanting.reportOf(fetch)).toMatchObject({ exitCode: 0, source: href })
      fs.rmSync(join(scene.wanting.home, 'hololib'), { recursive: true })
      const report = await scene.restore('--refresh')
      expect(report).toMatchObject({ exitCode: 0, source: href, fetched: { bySource: { [href]: 41 } } })
      expect(scene.wanting.wrong(scene.environment)).toEqual([])
    } finally {
      daemon.kill('SIGTERM')
      await daemon.exited
    }
  })

  serverTest('is named rightly, or the command ends with status 2', async () => {
    await using scene = await Scene.open()
    for (const target of ['peers', 'gopher://x', 'https://user:secret@example.test/', 'no uri']) {
      const report = await scene.push(target)
      expect(report).toMatchObject({ exitCode: 2, error: { code: 'push-target-invalid' } })
    }
    expect(await scene.push(scene.nginx.url.href, 'nonsense')).toMatchObject({ exitCode: 2 })
    expect(await scene.push(scene.nginx.url.href, 'f'.repeat(16))).toMatchObject({ exitCode: 3 })
  })
})
