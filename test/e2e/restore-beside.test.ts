/** `holo-peer restore` beside others: another restore of the same space, a held lock, Ctrl-C, a blob at its limits. */
import { describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { cString, libc } from '../../src/base/libc.ts'
import { SECOND_THREAD_FILES_MIN } from '../../src/base/limits.ts'
import { sha256Of } from '../../src/blob/digest.ts'
import { TemporaryDirectory } from '../support/golden.ts'
import { binaryObstacle, LocalHost } from '../support/local-host.ts'
import { Mounted, mountObstacle } from '../support/mounts.ts'
import { skipUnless } from '../support/skip.ts'
import { wideTree } from '../support/wide-tree.ts'

const FILES = 3 * SECOND_THREAD_FILES_MIN
const obstacle = binaryObstacle()
const binaryTest = skipUnless(obstacle === undefined, obstacle ?? '')
const ext4 = obstacle ?? mountObstacle('ext4')
const ext4Test = skipUnless(ext4 === undefined, ext4 ?? '')
const setpriv = Bun.which('setpriv')
const userTest = skipUnless(
  ext4 === undefined && setpriv !== null,
  'root, mkfs.ext4 and setpriv are needed to link as an ordinary user',
)

describe('restore', () => {
  binaryTest('of one space by four processes at once ends with the tree of one of them', async () => {
    using folder = new TemporaryDirectory()
    const host = new LocalHost(folder.path)
    const versions = [1, 2].map((version) => host.add(`v${version}`, wideTree(FILES, version)))
    for (let round = 0; round < 3; round++) {
      const reports = await Promise.all(
        [...versions, ...versions].map((version, at) =>
          host.restore(version, '--strategy', at % 2 === 0 ? 'auto' : 'hardlink'),
        ),
      )
      expect(reports.map(({ ok }) => ok)).toEqual([true, true, true, true])
      expect(versions.map((version) => host.wrong(version).length).filter((wrong) => wrong === 0)).toHaveLength(1)
      expect(host.leftovers()).toEqual([])
    }
  })

  binaryTest('waits for a lock that flock(1) holds, and says so', async () => {
    using folder = new TemporaryDirectory()
    const host = new LocalHost(folder.path)
    const environment = host.add('v1', wideTree(40, 1))
    const holder = Bun.spawn(['flock', `${host.space}.lck`, 'sh', '-c', 'echo held; sleep 1'], { stdout: 'pipe' })
    for await (const _held of holder.stdout) break
    const { exitCode, stderr } = await host.run(host.command(environment))
    expect(holder.exitCode).toBe(0)
    expect(exitCode).toBe(0)
    expect(stderr).toContain(`waiting for another process to release ${host.space}.lck`)
    expect(host.wrong(environment)).toEqual([])
  })

  binaryTest('ends with 130 at Ctrl-C, and the next one goes on', async () => {
    using folder = new TemporaryDirectory()
    const host = new LocalHost(folder.path, 'gzip')
    const environment = host.add('v1', wideTree(4 * FILES, 1))
    const child = host.spawn(host.command(environment))
    while (!fs.existsSync(`${host.space}.restoring`)) await Bun.sleep(1)
    child.kill('SIGINT')
    await child.exited
    expect(child.exitCode).toBe(130)
    expect(fs.existsSync(`${host.space}.restoring`)).toBe(true)
    expect(await host.restore(environment)).toMatchObject({ ok: true })
    expect(host.wrong(environment)).toEqual([])
    expect(host.leftovers()).toEqual([])
  })

  binaryTest('of a space whose linked file was edited finds the blob, and names it where nobody has it', async () => {
    using folder = new TemporaryDirectory()
    const host = new LocalHost(folder.path)
    const environment = host.add('v1', { a: { kind: 'file', text: 'one', mode: 0o644 } })
    expect(await host.restore(environment, '--strategy', 'hardlink')).toMatchObject({
      restored: { methods: { hardlinked: { files: 1 } } },
    })
    fs.writeFileSync(join(host.space, 'a'), 'ONE')
    const report = await host.restore(environment, '--strategy', 'hardlink')
    expect(report).toMatchObject({ ok: false, error: { code: 'local-blob-corrupt' } })
    expect(fs.readdirSync(host.space)).not.toContain('b')
    expect(fs.readdirSync(join(host.home, 'holo-peer', 'quarantine'))).toHaveLength(1)
  })

  // ext4 takes 65,000 links of one inode.
  ext4Test('clones or copies what has no link left, and counts it', async () => {
    using volume = new Mounted('ext4')
    const host = new LocalHost(volume.path)
    const environment = host.add('v1', {
      a: { kind: 'file', text: 'full', mode: 0o644 },
      b: { kind: 'file', text: 'free', mode: 0o644 },
    })
    const full = cString(host.blobs.pathOf(sha256Of(Buffer.from('full'))))
    const links = join(volume.path, 'links')
    fs.mkdirSync(links)
    const { linkat } = libc()
    for (let index = 0; linkat(-100, full, -100, cString(join(links, `${index}`)), 0) === 0; index++);
    const report = await host.restore(environment, '--strategy', 'hardlink')
    expect(report.restored.methods).toMatchObject({ hardlinked: { files: 1 }, written: { files: 1 } })
    expect(report.restored.refusals).toEqual({ EMLINK: 1 })
    expect(host.wrong(environment)).toEqual([])
  })

  // An ordinary user may not link files of others that he cannot write (protected_hardlinks), nor change their mode.
  userTest('clones or copies the blobs of another user, and counts them', async () => {
    using volume = new Mounted('ext4')
    fs.chmodSync(volume.path, 0o777)
    fs.chmodSync(join(volume.path, '..'), 0o755)
    const host = new LocalHost(volume.path)
    const environment = host.add('v1', wideTree(40, 1))
    // Directories are the user's, blobs are root's.
    Bun.spawnSync(['find', volume.path, '-type', 'd', '-exec', 'chown', '65534', '{}', '+'])
    const binary = join(volume.path, 'holo-peer')
    const [built = '', ...args] = host.command(environment, '--strategy', 'hardlink', '--json')
    fs.copyFileSync(built, binary)
    const asUser = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', binary, ...args]
    const report = await host.reportOf(asUser)
    expect(report).toMatchObject({ ok: true, restored: { methods: { hardlinked: { files: 0 } } } })
    const refused = Object.values(report.restored.refusals as Record<string, number>)
    expect(refused.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(10)
    expect(host.wrong(environment)).toEqual([])
  })
})
