/** The compiled binary, as a user runs it: whole processes, from their start to their exit. */
import * as fs from 'node:fs'
import { join, resolve } from 'node:path'
import { measured, must } from './process.ts'

export const HOLO_PEER = resolve(import.meta.dir, '../../dist/holo-peer')

/** The user of the golden data; names of spaces follow from HOME. */
export const ROBOT_ENVIRONMENT = { PATH: process.env.PATH ?? '', HOME: '/home/robot', NO_COLOR: '1' }

/** One run, with what it says of itself with `--json`. */
export interface Restored {
  /** Wall time of the process. */
  readonly ms: number
  readonly cpuMs: number
  readonly spacePath: string
  /** Milliseconds by stage of the timeline; `exit` is what follows its end. */
  readonly stages: Readonly<Record<string, number>>
  /** Files by how they were placed. */
  readonly methods: Readonly<Record<string, number>>
}

export interface RestoreRequest {
  readonly robocorpHome: string
  readonly robotFile: string
  readonly space: string
  readonly strategy: 'auto' | 'hardlink'
  /** Put before the command: `time`. */
  readonly before?: readonly string[]
}

/** What is read of a report. */
interface Report {
  readonly space: { readonly path: string }
  readonly timeline: readonly { readonly stage: string; readonly fromMs: number; readonly untilMs: number }[]
  readonly restored: { readonly methods: Readonly<Record<string, { readonly files: number }>> }
}

/** @throws {Error} it failed */
export function restore({ robocorpHome, robotFile, space, strategy, before = [] }: RestoreRequest): Restored {
  const flags = ['--offline', '--json', '--space', space, '--strategy', strategy]
  const { ms, cpuMs, stdout } = measured([...before, HOLO_PEER, 'restore', robotFile, ...flags], {
    ...ROBOT_ENVIRONMENT,
    ROBOCORP_HOME: robocorpHome,
  })
  const { space: made, timeline, restored } = JSON.parse(stdout) as Report
  const stages = Object.fromEntries(timeline.map(({ stage, fromMs, untilMs }) => [stage, untilMs - fromMs]))
  const methods = Object.entries(restored.methods).flatMap(([name, { files }]) => (files === 0 ? [] : [[name, files]]))
  return {
    ms,
    cpuMs,
    spacePath: made.path,
    stages: { ...stages, exit: ms - (timeline.at(-1)?.untilMs ?? 0) },
    methods: Object.fromEntries(methods),
  }
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
