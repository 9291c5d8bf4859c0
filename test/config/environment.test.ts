import { afterEach, beforeEach, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { never } from '../../src/base/clock.ts'
import { HoloError } from '../../src/base/errors.ts'
import { isEnvironmentFileName, loadBlueprint } from '../../src/config/environment.ts'

const golden = join(import.meta.dir, '..', 'golden', 'blueprints')
const platform = { os: 'linux', arch: 'amd64' } as const
let directory = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'holo-peer-environment-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const load = (robotFile: string, extraFiles: string[] = []) =>
  loadBlueprint({ robotFile, extraFiles, robocorpHome: join(directory, 'home'), platform }, never)

async function failureOf(work: Promise<unknown>): Promise<HoloError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof HoloError) return error
  throw new Error('no HoloError was thrown', { cause: error })
}

for (const id of ['20-robot-conda', '21-robot-envconfigs', '22-robot-freeze', '27-robot-package-yaml']) {
  test(`loadBlueprint() finds environment and hash of ${id}`, async () => {
    const wanted = JSON.parse(readFileSync(join(golden, `${id}.json`), 'utf8')) as { hash: string; resolved: string }
    const loaded = await load(join(golden, `${id}.in`, 'robot.yaml'))
    expect(loaded.blueprint.hash).toBe(wanted.hash)
    expect(loaded.environmentFile).toBe(join(golden, `${id}.in`, wanted.resolved))
    expect(loaded.isRobot).toBe(true)
  })
}

test('loadBlueprint() merges further files, and takes an environment file in place of a robot', async () => {
  const robot = join(golden, '24-robot-plus-args.in')
  expect((await load(join(robot, 'robot.yaml'), [join(robot, 'extra.yaml')])).blueprint.hash).toBe('78e76d57fd6a5b81')
  const conda = await load(join(robot, 'conda.yaml'))
  expect(conda).toMatchObject({ isRobot: false, environmentFile: join(robot, 'conda.yaml') })
  expect(conda.blueprint.hash).toBe('f96fda8c95f88ca2')
  expect((await load(join(golden, '10-package-yaml.in', 'package.yaml'))).blueprint.hash).toBe('4858272cefa99e43')
})

test('loadBlueprint() notices a local conda channel', async () => {
  mkdirSync(join(directory, 'home', 'channel'), { recursive: true })
  writeFileSync(join(directory, 'home', 'channel', 'channeldata.json'), '{}')
  const { blueprint } = await load(join(golden, '01-basic.in', 'conda.yaml'))
  expect(blueprint.text).toStartWith(`channels:\n- ${join(directory, 'home', 'channel')}\n- conda-forge\n`)
})

test('loadBlueprint() says what is missing, and what to do', async () => {
  const robotFile = join(directory, 'robot.yaml')
  const missing = await failureOf(load(robotFile))
  expect(missing).toMatchObject({ code: 'robot-yaml-missing', blame: 'input' })
  expect(missing.message).toContain(robotFile)
  expect(missing.hint).toBeDefined()
  expect((await failureOf(load(join(directory, 'conda.yaml')))).code).toBe('environment-file-missing')
  writeFileSync(robotFile, 'condaConfigFile: conda.yaml\n')
  const noFile = await failureOf(load(robotFile))
  expect(noFile.code).toBe('environment-file-missing')
  expect(noFile.message).toContain(join(directory, 'conda.yaml'))
  writeFileSync(robotFile, 'environmentConfigs: [conda-darwin.yaml]\n')
  const none = await failureOf(load(robotFile))
  expect(none.code).toBe('robot-without-environment')
  expect(none.message).toContain('conda-darwin.yaml')
  mkdirSync(join(directory, 'dir.yaml'))
  expect((await failureOf(load(join(directory, 'dir.yaml')))).code).toBe('not-a-file')
})

test('loadBlueprint() names line and column of a malformed robot.yaml, and refuses a huge one', async () => {
  const robotFile = join(directory, 'robot.yaml')
  writeFileSync(robotFile, 'tasks:\n  A: [\n')
  const malformed = await failureOf(load(robotFile))
  expect(malformed).toMatchObject({ code: 'yaml-malformed', blame: 'input' })
  expect(malformed.message).toMatch(/robot\.yaml cannot be read \(line \d+, column \d+\)/)
  writeFileSync(robotFile, Buffer.alloc(2 * 1024 * 1024, '#'))
  expect((await failureOf(load(robotFile))).code).toBe('yaml-too-large')
})

test('loadBlueprint() ends with the reason of its signal', async () => {
  const reason = new Error('enough')
  const request = { robotFile: join(golden, '20-robot-conda.in', 'robot.yaml'), robocorpHome: directory, platform }
  expect(loadBlueprint(request, AbortSignal.abort(reason))).rejects.toBe(reason)
})

test('isEnvironmentFileName() goes by the base name', () => {
  for (const name of ['conda.yaml', 'conda-linux.yml', 'Package.yaml', 'environment_linux_amd64_freeze.yaml']) {
    expect(isEnvironmentFileName(name)).toBe(true)
  }
  for (const name of ['robot.yaml', 'my-robot.yaml', 'package.json']) expect(isEnvironmentFileName(name)).toBe(false)
})
