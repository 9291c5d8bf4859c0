/**
 * From a robot.yaml on disk to its blueprint: reads it and the environment files that it means.
 *
 * Guarantees that every file is held against its bound before it is read. Unlike rcc, which passes over a robot.yaml
 * that does not load, this stops: a user who names a file means it.
 */

import { statSync } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { HoloError, hostError, systemCodeOf } from '../base/errors.ts'
import { YAML_BYTES_MAX } from '../base/limits.ts'
import { type Blueprint, composeBlueprint, type EnvironmentFile } from '../catalog/blueprint.ts'
import { localChannel } from '../catalog/layout.ts'
import type { Platform } from '../catalog/names.ts'
import { parseRobotYaml, selectEnvironmentFile } from '../catalog/robot-yaml.ts'

export interface BlueprintRequest {
  /** robot.yaml, or an environment file in its place, told by its base name (`isEnvironmentFileName`). */
  readonly robotFile: string
  /** Environment files that are merged to the robot's, in order. */
  readonly extraFiles?: readonly string[]
  /** A local conda channel in it changes the blueprint. */
  readonly robocorpHome: string
  readonly platform: Platform
  /** rcc's `--devdeps`: only for package.yaml files. */
  readonly devDependencies?: boolean
}

export interface LoadedBlueprint {
  readonly blueprint: Blueprint
  /** Absolute path. */
  readonly robotFile: string
  /** Absolute path of the file that the robot's environment came from. */
  readonly environmentFile: string
  /** False where an environment file was given in place of a robot. */
  readonly isRobot: boolean
}

/**
 * Read a robot's environment and compute its blueprint.
 *
 * @throws {HoloError} blame `input`: `robot-yaml-missing`, `environment-file-missing`, `robot-without-environment`,
 *   and what the parsers say; blame `host` where a file cannot be read
 * @throws `signal.reason`, unwrapped, once `signal` aborts
 */
export async function loadBlueprint(request: BlueprintRequest, signal: AbortSignal): Promise<LoadedBlueprint> {
  const robotFile = resolve(request.robotFile)
  const isRobot = !isEnvironmentFileName(basename(robotFile))
  const environmentFile = isRobot ? await environmentFileOf(robotFile, request.platform, signal) : robotFile
  const files: EnvironmentFile[] = []
  for (const path of [environmentFile, ...(request.extraFiles ?? []).map((extra) => resolve(extra))]) {
    files.push({ name: path, bytes: await readBounded(path, missingEnvironment(path, robotFile), signal) })
  }
  const channel = localChannel(request)
  const blueprint = composeBlueprint(files, {
    localChannel: isFile(channel.marker) ? channel.directory : undefined,
    devDependencies: request.devDependencies ?? false,
  })
  return { blueprint, robotFile, environmentFile, isRobot }
}

/** Whether a file of this base name is an environment itself: `package.yaml`, `conda*.yaml` or `environment*.yaml`. */
export function isEnvironmentFileName(name: string): boolean {
  return /^(?:package|conda.*|environment.*)\.ya?ml$/i.test(name)
}

async function environmentFileOf(robotFile: string, platform: Platform, signal: AbortSignal): Promise<string> {
  const missing = new HoloError(`There is no robot.yaml at ${robotFile}`, {
    code: 'robot-yaml-missing',
    blame: 'input',
    hint: 'name the path of a robot.yaml, conda.yaml or package.yaml',
  })
  const robot = parseRobotYaml(await readBounded(robotFile, missing, signal), robotFile)
  const directory = dirname(robotFile)
  const chosen = selectEnvironmentFile(robot, platform, (entry) => isFile(join(directory, entry)))
  if (chosen !== undefined) return join(directory, chosen)
  const { environmentConfigs } = robot
  const tried = environmentConfigs.length === 0 ? '' : `: none of ${environmentConfigs.join(', ')} fits and exists`
  throw new HoloError(`${robotFile} names no environment for ${platform.os}_${platform.arch}${tried}`, {
    code: 'robot-without-environment',
    blame: 'input',
    hint: 'add `condaConfigFile: conda.yaml` to it, or name a conda.yaml instead',
  })
}

function missingEnvironment(path: string, robotFile: string): HoloError {
  const named = path === robotFile ? '' : `, which ${robotFile} or the command line names`
  return new HoloError(`There is no environment file at ${path}${named}`, {
    code: 'environment-file-missing',
    blame: 'input',
    hint: 'create that file, or correct its name',
  })
}

/** As rcc's IsFile: anything there that is no directory, links followed. */
function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === false
}

async function readBounded(path: string, missing: HoloError, signal: AbortSignal): Promise<Uint8Array> {
  signal.throwIfAborted()
  try {
    // Before it is opened: opening a pipe would wait for its writer.
    const found = await stat(path)
    if (!found.isFile()) {
      throw new HoloError(`${path} is ${found.isDirectory() ? 'a directory' : 'no regular file'}`, {
        code: 'not-a-file',
        blame: 'input',
        hint: 'name the file itself',
      })
    }
    await using file = await open(path, 'r')
    const bytes = new Uint8Array(YAML_BYTES_MAX + 1)
    let length = 0
    while (length < bytes.byteLength) {
      const { bytesRead } = await file.read(bytes, length, bytes.byteLength - length)
      signal.throwIfAborted()
      if (bytesRead === 0) return bytes.slice(0, length)
      length += bytesRead
    }
  } catch (cause) {
    signal.throwIfAborted()
    const code = systemCodeOf(cause)
    throw code === 'ENOENT' || code === 'ENOTDIR' ? missing : hostError(`read ${path}`, cause)
  }
  throw new HoloError(`${path} has more than ${YAML_BYTES_MAX} bytes`, {
    code: 'yaml-too-large',
    blame: 'input',
    hint: 'is it the right file? Real ones have a few KiB',
  })
}
