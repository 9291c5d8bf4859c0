/**
 * `UPSTREAM_DIR=… bun scripts/udx-conformance.ts [--slow]`: run the public test suites of udx-native and dht-rpc on Bun, with
 * packages/udx in place of the native module.
 *
 * UPSTREAM_DIR holds the checkouts `udx-native` and `dht-rpc`; nothing of them enters the project. Their tests are copied
 * into a temporary folder, in which `udx-native` is a module of one line that gives ours; what else they need is
 * installed there from the package registry. Ends with status 1 when a test fails. docs/udx-conformance.md has the
 * outcome, and why each of INAPPLICABLE is left out.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const OURS = resolve(import.meta.dir, '../packages/udx/udx-native.cjs')
const TIMEOUT_MS = 600_000

/** What the suites need beside what dht-rpc declares itself. */
const TOOLS = {
  b4a: '1.9.0',
  brittle: '3.19.1',
  'is-ci': '3.0.1',
  streamx: '2.28.1',
  'test-suspend': '1.0.0',
  'tiny-byte-size': '1.1.0',
}

const FILES = ['udx', 'socket', 'stream', 'stream-framed', 'stream-parallel', 'stream-relay'].map((name) => ({
  suite: 'udx-native',
  file: `test/${name}.js`,
}))
FILES.push({ suite: 'dht-rpc', file: 'test.js' })
const SLOW = ['test/slow/stream-big-writes.js', 'test/slow/timeouts.js'].map((file) => ({ suite: 'udx-native', file }))

/** Tests that this machine cannot pass with any UDX: their name, and whether they apply here. */
const INAPPLICABLE: readonly { name: string; applies(): Promise<boolean> }[] = [
  { name: 'lookup ipv6', applies: () => resolves('localhost', 6) },
]

async function resolves(host: string, family: 4 | 6): Promise<boolean> {
  try {
    return (await Bun.dns.lookup(host, { family })).length > 0
  } catch {
    return false
  }
}

function write(path: string, text: string): void {
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, text)
}

/** A module of one line, importable by name. */
function writeModule(folder: string, name: string, text: string): void {
  write(join(folder, 'package.json'), JSON.stringify({ name, version: '0.0.0', main: 'index.cjs' }))
  write(join(folder, 'index.cjs'), text)
}

/** Lay the suites out in `folder`, ready to run. */
function layOut(folder: string, upstream: string): void {
  const declared = JSON.parse(readFileSync(join(upstream, 'dht-rpc', 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  const { 'udx-native': _, ...dependencies } = declared.dependencies
  write(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies: { ...dependencies, ...TOOLS } }))
  const installed = Bun.spawnSync([process.execPath, 'install', '--no-summary'], { cwd: folder })
  if (installed.exitCode !== 0) throw new Error(`bun install: ${installed.stderr.toString().trim()}`)
  cpSync(join(upstream, 'udx-native', 'test'), join(folder, 'udx-native', 'test'), { recursive: true })
  cpSync(join(upstream, 'dht-rpc'), join(folder, 'dht-rpc'), {
    recursive: true,
    filter: (path) => !/[/\\](\.git|node_modules)$/.test(path),
  })
  const ours = `module.exports = require(${JSON.stringify(OURS)})\n`
  writeModule(join(folder, 'udx-native'), 'udx-native', ours)
  writeModule(join(folder, 'node_modules', 'udx-native'), 'udx-native', ours)
  // A test that fails ends brittle's process, so what is left out must be left out by name.
  const brittle = join(folder, 'node_modules', 'brittle')
  cpSync(brittle, `${brittle}-real`, { recursive: true })
  rmSync(brittle, { recursive: true })
  writeModule(
    brittle,
    'brittle',
    `const real = require('../brittle-real')
    const skipped = new Set(JSON.parse(process.env.SKIPPED))
    module.exports = new Proxy(real, {
      apply: (test, self, args) => Reflect.apply(skipped.has(args[0]) ? test.skip : test, self, args),
    })\n`,
  )
}

/** Run one file. @returns whether it passed */
async function run(folder: string, suite: string, file: string, skipped: readonly string[]): Promise<boolean> {
  const child = Bun.spawn([process.execPath, file], {
    cwd: join(folder, suite),
    env: { ...process.env, SKIPPED: JSON.stringify(skipped) },
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: TIMEOUT_MS,
  })
  const [tap, errors, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  const lines = tap.split('\n')
  const passed = lines.filter((line) => /^ok \d+/.test(line) && !/# SKIP/i.test(line)).length
  const left = lines.filter((line) => /^ok \d+.*# SKIP/i.test(line)).length
  // The plan comes last: without it, brittle has been cut off.
  const whole = status === 0 && lines.some((line) => /^1\.\.\d+$/.test(line))
  console.log(`${whole ? 'pass' : 'FAIL'}  ${suite} ${file}: ${passed} passed, ${left} skipped`)
  if (!whole) console.log([...lines.slice(-30), ...errors.split('\n').slice(-30)].join('\n'))
  return whole
}

const upstream = process.env.UPSTREAM_DIR
if (upstream === undefined || !existsSync(join(upstream, 'udx-native', 'test'))) {
  console.log('UPSTREAM_DIR must name a folder with checkouts of udx-native and dht-rpc.')
  process.exit(2)
}
const folder = mkdtempSync(join(tmpdir(), 'udx-conformance-'))
let failed = 0
try {
  layOut(folder, resolve(upstream))
  const skipped: string[] = []
  for (const { name, applies } of INAPPLICABLE) if (!(await applies())) skipped.push(name)
  for (const name of skipped) console.log(`skip  "${name}" does not apply on this machine`)
  for (const { suite, file } of process.argv.includes('--slow') ? [...FILES, ...SLOW] : FILES)
    if (!(await run(folder, suite, file, skipped))) failed++
} finally {
  rmSync(folder, { recursive: true, force: true })
}
process.exit(failed === 0 ? 0 : 1)
