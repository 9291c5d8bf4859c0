/** The compiled binary, as a user runs it: whole processes, from their start to their exit. */
import * as fs from 'node:fs'
import { join, resolve } from 'node:path'
import { measured, must } from './process.ts'

export const HOLO_PEER = resolve(import.meta.dir, '../../dist/holo-peer')

/** The user of the golden data; names of spaces follow from HOME. */
export const ROBOT_ENVIRONMENT = { PATH: process.env.PATH ?? '', HOME: '/home/robot', NO_COLOR: '1' }

/** Numbers of a report that a run prints with `--json`; what else stands there is not looked at. */
export interface Restored {
  /** Wall time of the process. */
  readonly ms: number
  readonly cpuMs: number
  readonly spacePath: string
  /** Milliseconds by stage, with what the process takes outside of them. */
  readonly stages: Readonly<Record<string, number>>
  /** Entries by what was done with them. */
  readonly counts: Readonly<Record<string, number>>
}

export interface RestoreRequest {
  readonly robocorpHome: string
  readonly robotFile: string
  readonly space: string
  readonly strategy: 'auto' | 'hardlink'
  /** Put before the command: `time`. */
  readonly before?: readonly string[]
}

let help: string | undefined

/** Whether this binary's restore knows a flag: older ones are measured with what they have. */
export function knowsFlag(flag: string): boolean {
  help ??= must([HOLO_PEER, 'restore', '--help'], ROBOT_ENVIRONMENT).stdout
  return help.includes(`${flag} `)
}

/** @throws {Error} it failed */
export function restore({ robocorpHome, robotFile, space, strategy, before = [] }: RestoreRequest): Restored {
  const flags = strategy === 'auto' ? [] : ['--strategy', strategy]
  const command = [...before, HOLO_PEER, 'restore', robotFile, '--offline', '--json', '--space', space, ...flags]
  const { ms, cpuMs, stdout } = measured(command, { ...ROBOT_ENVIRONMENT, ROBOCORP_HOME: robocorpHome })
  const report = JSON.parse(stdout)
  const { total, ...whole } = numbersOf(report.ms)
  const { total: _applied, ...parts } = numbersOf(report.restored.ms)
  const stages = { ...whole, ...parts, 'start and exit': ms - (total ?? 0) }
  return { ms, cpuMs, spacePath: report.space.path, stages, counts: numbersOf(report.restored) }
}

function numbersOf(value: object): Record<string, number> {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => typeof field === 'number' && field > 0))
}

/** GNU time, or undefined where it is not installed. */
const TIME = Bun.which('time')

/**
 * Peak memory of one restore, by GNU time: a child of ours would be counted with our own pages, which it has until exec.
 *
 * @returns bytes; undefined where GNU time is not installed
 */
export function peakBytes(request: Omit<RestoreRequest, 'before'>, folder: string): number | undefined {
  if (TIME === null) return undefined
  const note = join(folder, 'peak')
  restore({ ...request, before: [TIME, '-f', '%M', '-o', note] })
  return Number(fs.readFileSync(note, 'utf8')) * 1024
}

/** Remove a space and what stands beside it. */
export function removeSpace(path: string): void {
  must(['sh', '-c', 'rm -rf "$0" "$0".*', path])
}
