/** `holo-peer record` as a user meets it: the compiled binary, its screens, its exit statuses, and its sudden end. */
import { describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { never } from '../../src/base/clock.ts'
import { seededRandom } from '../../src/base/random.ts'
import { libraryDirectory, type Roots } from '../../src/catalog/layout.ts'
import { Library } from '../../src/store/library.ts'
import { listTree, TemporaryDirectory } from '../support/golden.ts'
import { skipUnless } from '../support/skip.ts'
import { emptyStage } from '../support/stage.ts'

const binary = resolve(import.meta.dir, '../../dist/holo-peer')
// The stages of test/support bear the name that Linux x64 gives them.
const runs = fs.existsSync(binary) && process.platform === 'linux' && process.arch === 'x64'
const needed = 'dist/holo-peer is not built, or this is not Linux x64'
const binaryTest = skipUnless(runs, needed)

type Stage = ReturnType<typeof emptyStage>

function start({ stage, robotFile }: Stage, args: readonly string[], before: readonly string[] = []) {
  const command = [...before, binary, 'record', stage, '--robot', robotFile, ...args]
  return Bun.spawn(command, {
    env: { HOME: '/home/robot', ROBOCORP_HOME: dirname(robotFile), PATH: process.env.PATH ?? '' },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
}

async function run(place: Stage, args: readonly string[] = [], before: readonly string[] = []) {
  const child = start(place, args, before)
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  return { stdout, stderr, exitCode }
}

/** Paths of all files of the library's blob folder, by base name. */
function storedFiles(roots: Roots): { name: string; sha256: string | undefined }[] {
  const directory = libraryDirectory(roots)
  if (!fs.existsSync(directory)) return []
  return listTree(directory)
    .filter(({ type }) => type === 'file')
    .map(({ path, sha256 }) => ({ name: basename(path), sha256 }))
}

function fill({ stage }: Stage, files: number): void {
  for (let index = 0; index < files; index++) {
    const directory = join(stage, 'lib', `d${index % 20}`)
    fs.mkdirSync(directory, { recursive: true })
    fs.writeFileSync(join(directory, `f${index}`), `${index} of ${stage}`)
  }
}

describe('holo-peer record', () => {
  binaryTest('says what it recorded, and again that nothing was new', async () => {
    using home = new TemporaryDirectory()
    const place = emptyStage(home.path)
    fill(place, 30)
    fs.symlinkSync('d1', join(place.stage, 'lib', 'link'))
    const first = await run(place)
    expect(first).toMatchObject({ exitCode: 0, stderr: '' })
    const lines = first.stdout.trimEnd().split('\n')
    expect(lines[0]).toMatch(/^Recorded environment [0-9a-f]{16} \(linux_amd64\)$/)
    expect(lines[1]).toBe(`  path     ${place.stage}`)
    expect(lines.slice(2, 5)).toEqual([
      expect.stringMatching(/^ {2}holds {4}31 files, [\d.]+ kB; 1 link, 22 directories$/),
      '           30 relocated',
      expect.stringMatching(/^ {2}stored {3}31 new blobs, [\d.]+ kB; 0 were there already$/),
    ])
    expect(lines.filter((line) => !line.startsWith('  path')).every((line) => line.length <= 80)).toBe(true)
    expect((await run(place)).stdout).toContain('  stored   nothing: the library had every blob\n')
  })

  binaryTest('has a JSON report, and one of failures', async () => {
    using home = new TemporaryDirectory()
    const place = emptyStage(home.path)
    fill(place, 3)
    const done = await run(place, ['--json'])
    expect(JSON.parse(done.stdout)).toMatchObject({
      ok: true,
      path: place.stage,
      recorded: { files: 4, directories: 5, links: 0, relocatedFiles: 3 },
      blobs: { added: 4, present: 0 },
      ms: { walk: expect.any(Number), contents: expect.any(Number), catalog: expect.any(Number) },
    })
    fs.symlinkSync('nowhere', join(place.stage, 'gone'))
    const failed = await run(place, ['--json'])
    expect(failed.exitCode).toBe(2)
    expect(JSON.parse(failed.stdout)).toMatchObject({ ok: false, error: { code: 'link-broken', blame: 'input' } })
    const plain = await run(place)
    expect(plain).toMatchObject({ exitCode: 2, stdout: '' })
    expect(plain.stderr).toContain(`error: The link ${join(place.stage, 'gone')} (to nowhere) leads to nothing\n`)
    expect(plain.stderr).toContain('to mend it: ')
  })

  const isRoot = process.getuid?.() === 0
  // To root no file is closed, so the command runs as somebody else.
  const asNobody = isRoot ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : []
  const closedTest = skipUnless(runs && (!isRoot || Bun.which('setpriv') !== null), `${needed}, or root has no setpriv`)
  closedTest('names a file or directory that it may not read', async () => {
    for (const [closed, verb] of [
      ['lib/d1', 'read'],
      ['lib/d1/f1', 'read'],
    ] as const) {
      using home = new TemporaryDirectory()
      const place = emptyStage(home.path)
      fill(place, 3)
      if (isRoot) Bun.spawnSync(['chown', '-R', '65534', home.path])
      fs.chmodSync(join(place.stage, closed), 0)
      const report = await run(place, ['--json'], asNobody)
      fs.chmodSync(join(place.stage, closed), 0o700)
      expect(report.exitCode).toBe(6)
      const { error } = JSON.parse(report.stdout)
      expect(error).toMatchObject({ code: 'no-permission', blame: 'host' })
      expect(error.message).toContain(`${verb} ${join(place.stage, closed)}`)
      expect(new Library(place.roots).catalogs()).toEqual([])
    }
  })

  const flockTest = skipUnless(runs && Bun.which('flock') !== null, `${needed}, or flock(1) is not installed`)
  flockTest('waits aloud for the global lock, and ends with 130 when it is told to', async () => {
    using home = new TemporaryDirectory()
    const place = emptyStage(home.path)
    const lock = join(place.roots.holotree, 'global.lck')
    const holder = Bun.spawn(['flock', '-x', lock, 'sh', '-c', 'echo held; cat'], { stdin: 'pipe', stdout: 'pipe' })
    await holder.stdout.getReader().read()
    const child = start(place, [])
    const { value } = await child.stderr.getReader().read()
    expect(new TextDecoder().decode(value)).toBe(`waiting for another process to release ${lock}\n`)
    child.kill('SIGINT')
    expect(await child.exited).toBe(130)
    holder.stdin.end()
    await holder.exited
    expect((await run(place)).exitCode).toBe(0)
  })

  // Goal: SIGKILL at any instant leaves no catalog without its blobs, no half blob under a name, and nothing that the
  // next run does not sweep. Method: killed once a random number of files has appeared in the library.
  binaryTest('killed at any instant leaves a library that is whole', async () => {
    using home = new TemporaryDirectory()
    const place = emptyStage(home.path)
    const files = 3_000
    fill(place, files)
    const { roots } = place
    const random = seededRandom(Number(process.env.FUZZ_SEED ?? 11))
    let inTheMiddle = 0
    for (let round = 0; round < 8 * Number(process.env.CRASH_ROUNDS ?? 1); round++) {
      fs.rmSync(roots.hololib, { recursive: true, force: true })
      const child = start(place, [])
      // Of the first level of directories each stands for some dozen blobs.
      const wanted = Math.floor(random.next() * 240)
      const levels = () => (fs.existsSync(libraryDirectory(roots)) ? fs.readdirSync(libraryDirectory(roots)).length : 0)
      while (child.exitCode === null && levels() < wanted) await Bun.sleep(1)
      child.kill('SIGKILL')
      await child.exited

      const stored = storedFiles(roots)
      const temporaries = stored.filter(({ name }) => name.startsWith('.holo-peer-'))
      expect(stored.filter(({ name, sha256 }) => name !== sha256)).toEqual(temporaries)
      const library = new Library(roots)
      if (stored.length > 0 && stored.length < files) inTheMiddle++
      for (const name of library.catalogs()) expect(await library.complete(name, never)).toBeDefined()
      if (stored.length - temporaries.length < files) expect(library.catalogs()).toEqual([])
    }
    expect(inTheMiddle).toBeGreaterThan(0)
    expect((await run(place)).exitCode).toBe(0)
    const stored = storedFiles(roots)
    expect(stored.filter(({ name, sha256 }) => name !== sha256)).toEqual([])
    const [name] = new Library(roots).catalogs()
    expect(name === undefined ? undefined : await new Library(roots).complete(name, never)).toBeDefined()
  })
})
