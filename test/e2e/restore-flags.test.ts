/** What the flags of `holo-peer restore` and rcc's variables do to the compiled binary: each is seen to act. */
import { describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { TemporaryDirectory } from '../support/golden.ts'
import { binaryObstacle, type LocalEnvironment, LocalHost } from '../support/local-host.ts'
import { STAGE } from '../support/made-catalog.ts'
import { skipUnless } from '../support/skip.ts'

const obstacle = binaryObstacle()
const binaryTest = skipUnless(obstacle === undefined, obstacle ?? '')
const COLUMNS = 80

function given(): { host: LocalHost; environment: LocalEnvironment } & Disposable {
  const folder = new TemporaryDirectory()
  const host = new LocalHost(folder.path)
  const environment = host.add('v1', {
    a: { kind: 'file', text: 'one', mode: 0o644 },
    'b.so': { kind: 'file', text: 'two', mode: 0o755 },
    c: { kind: 'file', text: `#!${STAGE}`, mode: 0o755 },
  })
  return { host, environment, [Symbol.dispose]: () => folder[Symbol.dispose]() }
}

describe('restore', () => {
  binaryTest(
    '--fast prints the path of the space, as RCC_FAST_MODE does, and the plan of a dry run all the same',
    async () => {
      using it = given()
      const { host, environment } = it
      const plan = await host.run(host.command(environment, '--fast', '--dry-run'))
      expect(plan.stdout).toContain('Nothing was written.')
      expect(await host.run(host.command(environment, '--fast'))).toEqual({
        exitCode: 0,
        stdout: `${host.space}\n`,
        stderr: '',
      })
      const byVariable = await host.run(host.command(environment), { RCC_FAST_MODE: 'true' })
      expect(byVariable.stdout).toBe(`${host.space}\n`)
    },
  )

  binaryTest('--fast together with --verification is refused', async () => {
    using it = given()
    const { exitCode, stderr } = await it.host.run(
      it.host.command(it.environment, '--fast', '--verification', 'always'),
    )
    expect(exitCode).toBe(2)
    expect(stderr).toContain("'--fast' cannot be used with option '--verification")
  })

  binaryTest('--timeline shows every stage in 80 columns, beside --fast too', async () => {
    using it = given()
    const { stdout } = await it.host.run(it.host.command(it.environment, '--timeline', '--fast'))
    const [path, head, ...stages] = stdout.trimEnd().split('\n')
    expect(path).toBe(it.host.space)
    expect(head).toContain('milliseconds since the process began')
    expect(stages.map((line) => line.trim().split(/\s/)[0])).toEqual([
      'start',
      'find',
      'plan',
      'prepare',
      'place',
      'note',
    ])
    for (const line of stages) expect(line.length).toBeLessThanOrEqual(COLUMNS)
  })

  // Goal: flag > variable > settings.yaml, where `strategy` outranks `restoration-strategy`.
  binaryTest('takes its strategy from the flag, the variable and settings.yaml, in this order', async () => {
    using it = given()
    const { host, environment } = it
    const settings = join(host.home, 'settings.yaml')
    const strategyOf = async (variable: string, ...flags: string[]) => {
      fs.rmSync(host.space, { recursive: true, force: true })
      const { stdout } = await host.run(host.command(environment, '--json', ...flags), {
        RCC_HOLOTREE_STRATEGY: variable,
      })
      return JSON.parse(stdout).restored.strategy
    }
    fs.writeFileSync(settings, 'holotree:\n  restoration-strategy: hardlink\n')
    expect(await strategyOf('')).toBe('hardlink')
    fs.writeFileSync(settings, 'holotree:\n  restoration-strategy: hardlink\n  strategy: smart\n')
    expect(await strategyOf('')).toBe('smart')
    expect(await strategyOf('copy')).toBe('copy')
    expect(await strategyOf('copy', '--strategy', 'symlink')).toBe('symlink')
  })

  binaryTest('--strategy smart names what it did not link', async () => {
    using it = given()
    const { host, environment } = it
    const report = await host.restore(environment, '--strategy', 'smart')
    expect(report.restored.methods.hardlinked.files).toBe(1)
    expect(report.restored.exceptionPaths).toEqual([
      { path: 'b.so', reason: 'excluded' },
      { path: 'c', reason: 'relocated' },
    ])
    fs.rmSync(host.space, { recursive: true })
    const { stdout } = await host.run(host.command(environment, '--strategy', 'smart'))
    expect(stdout).toContain('unlinked 1 excluded, 1 relocated')
    expect(stdout).toContain('b.so (excluded)')
    expect(stdout).toContain('nothing may write to this space')
  })

  binaryTest('links nothing to a library that RCC_SHARED_MODE says is shared, and says so once', async () => {
    using it = given()
    const { host, environment } = it
    const { stderr } = await host.run(host.command(environment, '--strategy', 'hardlink'), { RCC_SHARED_MODE: '1' })
    expect(stderr.match(/^warning: .*several users share/gm)).toHaveLength(1)
    expect(fs.statSync(join(host.space, 'a')).nlink).toBe(1)
  })

  binaryTest('--keep-extra leaves what is not of the environment, --deep sees an edit that hides itself', async () => {
    using it = given()
    const { host, environment } = it
    await host.restore(environment)
    const edited = join(host.space, 'a')
    fs.writeFileSync(edited, 'ONE')
    fs.utimesSync(edited, 1_610_000_000, 1_610_000_000)
    fs.writeFileSync(join(host.space, 'extra'), '')
    expect((await host.restore(environment, '--keep-extra')).restored.filesPlaced).toBe(0)
    expect((await host.restore(environment, '--keep-extra', '--deep')).restored.filesPlaced).toBe(1)
    expect(host.wrong(environment).map((line) => line.split(':')[0])).toEqual(['extra'])
    await host.restore(environment)
    expect(host.wrong(environment)).toEqual([])
  })

  binaryTest('RCC_LITE_MODE keeps no journal, RCC_SKIP_VERIFICATION hashes nothing', async () => {
    using it = given()
    const { host, environment } = it
    const journals = join(host.home, 'journals')
    await host.run(host.command(environment), { RCC_LITE_MODE: 'yes', RCC_SKIP_VERIFICATION: 'true' })
    expect(fs.existsSync(join(journals, 'event.log'))).toBe(false)
    // Nothing was verified, so nothing is noted.
    expect(fs.existsSync(host.notesFile)).toBe(false)
    fs.rmSync(host.space, { recursive: true })
    await host.restore(environment)
    expect(fs.existsSync(join(journals, 'event.log'))).toBe(true)
    expect(fs.existsSync(host.notesFile)).toBe(true)
  })
})
