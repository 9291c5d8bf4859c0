/** What a user gets for bad input: a sentence, what to do, and the documented exit status. */
import { afterAll, beforeAll, describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { FleetHost, hostObstacle, smallRobot } from '../support/fleet-hosts.ts'
import { smallCold } from '../support/golden.ts'
import { Lan } from '../support/lan.ts'
import { skipUnless } from '../support/skip.ts'

const obstacle = hostObstacle()
const hostTest = skipUnless(obstacle === undefined, obstacle ?? '')
let lan: Lan
let host: FleetHost
beforeAll(() => {
  if (obstacle !== undefined) return
  lan = new Lan()
  host = FleetHost.on(lan)
})
afterAll(async () => {
  await lan?.[Symbol.asyncDispose]()
})

function write(name: string, text: string): string {
  const path = join(host.host.folder, name)
  fs.mkdirSync(join(path, '..'), { recursive: true })
  fs.writeFileSync(path, text)
  return path
}

describe('bad input', () => {
  const cases: [
    name: string,
    files: Record<string, string>,
    args: string[],
    status: number,
    code: string,
    says: string,
  ][] = [
    ['no robot.yaml', {}, ['restore', 'nowhere/robot.yaml'], 2, 'robot-yaml-missing', 'nowhere/robot.yaml'],
    [
      'malformed YAML',
      { 'bad/robot.yaml': 'tasks: [\n' },
      ['restore', 'bad/robot.yaml'],
      2,
      'yaml-malformed',
      'bad/robot.yaml',
    ],
    [
      'a robot without environment',
      { 'bare/robot.yaml': 'tasks:\n  a:\n    shell: ls\nartifactsDir: out\n' },
      ['restore', 'bare/robot.yaml'],
      2,
      'robot-without-environment',
      'bare/robot.yaml',
    ],
    [
      'an environment file that is not there',
      { 'lost/robot.yaml': 'condaConfigFile: conda.yaml\n' },
      ['restore', 'lost/robot.yaml'],
      2,
      'environment-file-missing',
      'lost/conda.yaml',
    ],
    [
      'no fleet',
      { 'conda.yaml': 'dependencies: [python=3.11]\n' },
      ['restore', 'conda.yaml'],
      3,
      'no-fleet',
      'belongs to no fleet',
    ],
    [
      '--offline',
      { 'conda.yaml': 'dependencies: [python=3.11]\n' },
      ['restore', 'conda.yaml', '--offline'],
      3,
      'not-in-library',
      'not in the library',
    ],
    ['an unknown command', {}, ['rstore'], 2, 'command-line', 'rstore'],
    ['an unknown option', {}, ['restore', '--sapce', 'x'], 2, 'command-line', '--sapce'],
    ['a port that is none', {}, ['daemon', '--port', '70000'], 2, 'command-line', '--port'],
    ['an invite that was cut', {}, ['fleet', 'join', 'holo-fleet1:abc'], 2, 'invite-malformed', 'cut off'],
    [
      'a bootstrap that is none',
      {},
      ['fleet', 'create', 'x', '--bootstrap', 'nowhere'],
      2,
      'bootstrap-malformed',
      'nowhere',
    ],
    ['a fleet name with blanks', {}, ['fleet', 'create', 'my fleet'], 2, 'fleet-name-invalid', 'my fleet'],
  ]
  for (const [name, files, args, status, code, says] of cases)
    hostTest(`${name} ends with status ${status} and says what to do`, async () => {
      for (const [file, text] of Object.entries(files)) write(file, text)
      const report = await host.report(...args)
      expect(report).toMatchObject({ ok: false, exitCode: status, error: { code } })
      expect(report.error.message).toContain(says)
      expect(report.error.hint.length).toBeGreaterThan(10)
      const plain = await host.run(...args)
      expect(plain.exitCode).toBe(status)
      expect(plain.stdout).toBe('')
      expect(plain.stderr).toContain('error: ')
      expect(plain.stderr).toContain('to mend it: ')
      // No stack.
      expect(plain.stderr).not.toMatch(/\n\s+at /)
    })

  hostTest('a settings.yaml with an unknown key of ours is refused with the nearest one', async () => {
    const other = FleetHost.on(lan)
    await other.report('fleet', 'create', 'x')
    fs.writeFileSync(join(other.host.home, 'settings.yaml'), 'holo-peer:\n  discovery:\n    bootstrp: []\n')
    const report = await other.report('restore', smallRobot(1))
    expect(report).toMatchObject({ exitCode: 2, error: { code: 'settings-invalid', hint: 'did you mean bootstrap?' } })
  })

  hostTest('a catalog of the library that fails its limits counts as none', async () => {
    const other = FleetHost.on(lan)
    const catalogs = join(other.host.home, 'hololib', 'catalog')
    fs.mkdirSync(catalogs, { recursive: true })
    fs.writeFileSync(join(catalogs, smallCold('gzip', 1).name), Bun.gzipSync(Buffer.from('{"rcc": "v18", "tree": 7}')))
    const report = await other.report('restore', smallRobot(1))
    expect(report).toMatchObject({ exitCode: 3, error: { code: 'no-fleet' } })
  })

  hostTest('a secret that others can read is refused', async () => {
    const other = FleetHost.on(lan)
    await other.report('fleet', 'create', 'x')
    const file = join(other.host.home, 'holo-peer', 'fleets.json')
    fs.chmodSync(file, 0o644)
    const report = await other.report('fleet', 'show')
    expect(report).toMatchObject({ exitCode: 6, error: { code: 'secret-exposed' } })
    expect(report.error.hint).toContain('chmod 600')
  })

  hostTest('a base directory that cannot be made is refused before anything is fetched', async () => {
    const a = FleetHost.withSmallLibrary(lan)
    const b = FleetHost.on(lan)
    await b.join(await a.lead())
    fs.writeFileSync(join(b.host.golden, 'small-gzip'), 'a file where the base belongs')
    const report = await b.restoreSmall(1)
    expect(report).toMatchObject({ exitCode: 6, error: { code: 'base-unwritable' } })
    expect(fs.existsSync(join(b.host.home, 'hololib', 'library'))).toBe(false)
  })
})
