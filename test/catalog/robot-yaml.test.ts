import { expect, test } from 'bun:test'
import { parseRobotYaml, robotProblems, selectEnvironmentFile } from '../../src/catalog/robot-yaml.ts'

const parsed = (text: string) => parseRobotYaml(new TextEncoder().encode(text), 'robot.yaml')

test('robotProblems() tells in the words of rcc why it would not run', () => {
  expect(robotProblems(parsed(''))).toEqual([
    "In robot.yaml, 'tasks:' is required!",
    "In robot.yaml, 'artifactsDir:' is required!",
  ])
  expect(robotProblems(parsed('tasks: {}\nartifactsDir: o\n'))).toEqual([
    "In robot.yaml, 'tasks:' must have at least one task defined!",
  ])
  const tasks = 'tasks:\n  A: {shell: x}\n  B: {shell: x, command: [y]}\n  C:\nartifactsDir: o\n'
  expect(robotProblems(parsed(tasks))).toEqual(
    ['B', 'C'].map(
      (name) => `In robot.yaml, task '${name}' needs exactly one of robotTaskName/shell/command definition!`,
    ),
  )
})

test('selectEnvironmentFile() takes the first that fits and exists, on each platform', () => {
  const robot = {
    environmentConfigs: [
      'environment_windows_amd64_freeze.yaml',
      'conda-darwin.yaml',
      'conda_arm64.yaml',
      'missing.yaml',
      'conda.yaml',
    ],
    condaConfigFile: 'fallback.yaml',
  }
  const exists = (path: string) => path !== 'missing.yaml'
  const chosen = (os: 'linux' | 'darwin' | 'windows', arch: 'amd64' | 'arm64') =>
    selectEnvironmentFile(robot, { os, arch }, exists)
  expect(chosen('windows', 'amd64')).toBe('environment_windows_amd64_freeze.yaml')
  expect(chosen('darwin', 'amd64')).toBe('conda-darwin.yaml')
  expect(chosen('linux', 'arm64')).toBe('conda_arm64.yaml')
  expect(chosen('linux', 'amd64')).toBe('conda.yaml')
  expect(selectEnvironmentFile(robot, { os: 'linux', arch: 'amd64' }, () => false)).toBe('fallback.yaml')
  expect(
    selectEnvironmentFile({ environmentConfigs: [], condaConfigFile: '' }, { os: 'linux', arch: 'amd64' }, exists),
  ).toBeUndefined()
})
