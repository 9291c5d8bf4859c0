/**
 * This machine as rcc and we see it: roots, state folder, user. Resolved once, at the start of a command.
 */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { type EnvironmentValues, type Roots, resolveRoots, type StatePaths, statePaths } from '../catalog/layout.ts'
import { platformOf } from '../catalog/names.ts'

export interface Machine {
  readonly environment: EnvironmentValues
  readonly roots: Roots
  readonly state: StatePaths
  /** rcc's settings.yaml, which need not exist. */
  readonly settingsFile: string
}

/** @throws {HoloError} blame `input` or `host`: no home, or a platform that rcc has no environments for */
export function thisMachine(environment: EnvironmentValues = process.env): Machine {
  const platform = platformOf(process.platform, process.arch)
  const roots = resolveRoots({ environment, platform, workingDirectory: process.cwd() }, isFile)
  return machineWith(roots, environment)
}

/** The same with roots that are known. */
export function machineWith(roots: Roots, environment: EnvironmentValues = {}): Machine {
  return {
    environment,
    roots,
    state: statePaths(roots),
    settingsFile: join(roots.robocorpHome, 'settings.yaml'),
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}
