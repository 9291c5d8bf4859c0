/**
 * robot.yaml: what it says, and which environment file it means on which platform (formats.md §4, §15).
 *
 * Pure: whether a file exists is asked through a predicate. Unknown keys are ignored, as by rcc.
 */
import type { Platform } from './names.ts'
import { readYaml, type YamlField } from './yaml-read.ts'

export interface RobotTask {
  readonly robotTaskName: string
  readonly shell: string
  readonly command: readonly string[]
}

export interface RobotYaml {
  /** Undefined where the key is missing or null; a task without body is undefined. */
  readonly tasks: ReadonlyMap<string, RobotTask | undefined> | undefined
  readonly devTasks: ReadonlyMap<string, RobotTask | undefined> | undefined
  /** Relative to the directory of robot.yaml; '' where missing, as all texts here. */
  readonly condaConfigFile: string
  readonly environmentConfigs: readonly string[]
  readonly preRunScripts: readonly string[]
  readonly ignoreFiles: readonly string[]
  readonly artifactsDir: string
  readonly path: readonly string[]
  readonly pythonPath: readonly string[]
}

/**
 * @param fileName for errors
 * @throws {HoloError} blame `input`: as `readYaml`
 */
export function parseRobotYaml(bytes: Uint8Array, fileName: string): RobotYaml {
  const fields = readYaml(bytes, fileName)
  const text = (key: string) => fields.get(key)?.text() ?? ''
  const texts = (key: string) => fields.get(key)?.textList() ?? []
  return {
    tasks: tasksOf(fields.get('tasks')),
    devTasks: tasksOf(fields.get('devTasks')),
    condaConfigFile: text('condaConfigFile'),
    environmentConfigs: texts('environmentConfigs'),
    preRunScripts: texts('preRunScripts'),
    ignoreFiles: texts('ignoreFiles'),
    artifactsDir: text('artifactsDir'),
    path: texts('PATH'),
    pythonPath: texts('PYTHONPATH'),
  }
}

function tasksOf(field: YamlField | undefined): ReadonlyMap<string, RobotTask | undefined> | undefined {
  const entries = field?.map()
  if (entries === undefined) return undefined
  return new Map([...entries].map(([name, body]) => [name, taskOf(body)]))
}

function taskOf(field: YamlField): RobotTask | undefined {
  const body = field.map()
  if (body === undefined) return undefined
  return {
    robotTaskName: body.get('robotTaskName')?.text() ?? '',
    shell: body.get('shell')?.text() ?? '',
    command: body.get('command')?.textList() ?? [],
  }
}

/** Why rcc would refuse to run the robot, in its words and order; restoring its environment needs none of it. */
export function robotProblems({ tasks, artifactsDir }: RobotYaml): string[] {
  const problems: string[] = []
  if (tasks === undefined) problems.push("In robot.yaml, 'tasks:' is required!")
  else if (tasks.size === 0) problems.push("In robot.yaml, 'tasks:' must have at least one task defined!")
  if (artifactsDir === '') problems.push("In robot.yaml, 'artifactsDir:' is required!")
  for (const [name, task] of tasks ?? []) {
    const definitions = [task?.robotTaskName ?? '', task?.shell ?? '', task?.command ?? []]
    if (definitions.filter(({ length }) => length > 0).length === 1) continue
    problems.push(`In robot.yaml, task '${name}' needs exactly one of robotTaskName/shell/command definition!`)
  }
  return problems
}

/**
 * The environment file that takes effect: the first of `environmentConfigs` that fits the platform and exists, else
 * `condaConfigFile`, whether or not it exists.
 *
 * @param exists whether a path, relative to the directory of robot.yaml, is a regular file
 * @returns that path, or undefined for a robot that runs without environment
 */
export function selectEnvironmentFile(
  { environmentConfigs, condaConfigFile }: Pick<RobotYaml, 'environmentConfigs' | 'condaConfigFile'>,
  platform: Platform,
  exists: (relativePath: string) => boolean,
): string | undefined {
  const chosen = environmentConfigs.find((entry) => fitsPlatform(entry, platform) && exists(entry))
  return chosen ?? (condaConfigFile === '' ? undefined : condaConfigFile)
}

const SYSTEM_WORD = /windows|darwin|linux/i
const PROCESSOR_WORD = /amd64|arm64/i

function fitsPlatform(entry: string, { os, arch }: Platform): boolean {
  const underscores = entry.split('_').length - 1
  const needsTag = underscores > 2 || entry.toLowerCase().includes('freeze')
  if (needsTag && !entry.includes(`${os}_${arch}`)) return false
  // The word found is compared as it is written: `Conda_LINUX.yaml` fits no platform.
  return (PROCESSOR_WORD.exec(entry)?.[0] ?? arch) === arch && (SYSTEM_WORD.exec(entry)?.[0] ?? os) === os
}
