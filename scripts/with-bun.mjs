#!/usr/bin/env node
// Runs the pinned Bun with the project's dependencies in place: `node scripts/with-bun.mjs run test:all`.
//
// The only script that runs on plain Node: a new machine has git, Node and npm, but no Bun. Bun comes from the npm
// registry as a package whose hash stands in tools/bun/package-lock.json. Its install script, which npm may skip, is
// not needed: we start the executable of the platform package itself.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const tools = join(root, 'tools', 'bun')
const wanted = JSON.parse(readFileSync(join(tools, 'package.json'), 'utf8')).dependencies.bun

/** Run to the end with our own terminal; a failure ends this script with the same status. */
function run(command, args, options = {}) {
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options })
  if (error) {
    console.error(`Could not start ${command}: ${error.message}`)
    process.exit(1)
  }
  if (status !== 0) process.exit(status ?? (signal === 'SIGINT' ? 130 : 1))
}

/** Whether `executable` is a Bun of the pinned version that starts on this processor. */
function fits(executable) {
  const { status, stdout } = spawnSync(executable, ['--version'], { encoding: 'utf8' })
  return status === 0 && stdout.trim() === wanted
}

/** Path of a fitting Bun among the installed platform packages (plain, baseline, musl), or undefined. */
function installedBun() {
  const scope = join(tools, 'node_modules', '@oven')
  if (!existsSync(scope)) return undefined
  const name = process.platform === 'win32' ? 'bun.exe' : 'bun'
  return readdirSync(scope)
    .sort()
    .map((folder) => join(scope, folder, 'bin', name))
    .find((executable) => existsSync(executable) && fits(executable))
}

let bun = installedBun()
if (bun === undefined) {
  console.log(`Installing Bun ${wanted} into tools/bun …`)
  // Optional packages named, because an npm configured to omit them would leave nothing to run.
  run('npm', ['ci', '--prefix', tools, '--ignore-scripts', '--include=optional', '--no-audit', '--no-fund'], {
    shell: process.platform === 'win32',
  })
  bun = installedBun()
}
if (bun === undefined) {
  console.error(`Bun ${wanted} has no build that runs on ${process.platform}-${process.arch}.`)
  process.exit(1)
}

const env = { ...process.env, PATH: dirname(bun) + delimiter + (process.env.PATH ?? '') }
run(bun, ['install', '--frozen-lockfile'], { env })
run(bun, process.argv.slice(2), { env })
