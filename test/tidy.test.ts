/** The house rules that a machine can check: who imports whom, borders to third parties, lengths, forbidden words. */
import { describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { EXIT_BUG, EXIT_CODES, EXIT_INTERRUPTED } from '../src/base/errors.ts'

const root = resolve(import.meta.dir, '..')
const LINES_MAX = 330

/** The import table: each room, and the rooms that it may import from. Type imports count. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  blob: ['base'],
  catalog: ['base', 'blob'],
  trust: ['base', 'blob', 'catalog'],
  config: ['base', 'blob', 'catalog', 'trust'],
  store: ['base', 'blob', 'catalog', 'trust'],
  discovery: ['base', 'blob', 'catalog', 'trust'],
  lane: ['base', 'blob', 'catalog', 'trust'],
  peer: ['base', 'blob', 'catalog', 'trust'],
  restore: ['base', 'blob', 'catalog', 'trust'],
  substituters: ['base', 'blob', 'catalog', 'trust'],
  daemon: ['base', 'blob', 'catalog', 'trust'],
  door: ['base', 'blob', 'catalog', 'trust'],
  app: [
    'base',
    'blob',
    'catalog',
    'trust',
    'config',
    'store',
    'discovery',
    'lane',
    'peer',
    'restore',
    'daemon',
    'door',
    'substituters',
  ],
  cli: ['base', 'app'],
  'main.ts': ['base', 'cli'],
}

/** Third parties that only the named rooms may touch. */
const BORDERS: Readonly<Record<string, readonly string[]>> = {
  hyperswarm: ['discovery'],
  hyperdht: ['discovery'],
  'hyperdht/lib/messages.js': ['discovery'],
  'hyperdht/lib/noise-wrap.js': ['discovery'],
  'multicast-dns': ['discovery'],
  '@hyperswarm/secret-stream': ['discovery'],
  'hypercore-crypto': ['trust', 'discovery'],
  commander: ['cli'],
  'cli-progress': ['cli'],
  zod: ['base'],
  yaml: ['catalog', 'config'],
  'node:fs': ['store', 'restore', 'substituters', 'config', 'cli', 'daemon', 'app'],
  'node:fs/promises': ['store', 'restore', 'substituters', 'config', 'cli', 'daemon', 'app'],
  'node:http': ['door'],
  'bun:ffi': ['base', 'store', 'restore'],
}

interface SourceFile {
  readonly path: string
  readonly room: string
  readonly text: string
  readonly imports: readonly string[]
}

function sourceFiles(folder: string): SourceFile[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
    .map((name) => {
      const path = join(folder, name)
      const text = readFileSync(join(root, path), 'utf8')
      const imports = [...text.matchAll(/(?:from|import|import\()\s*'([^']+)'/g)].map((match) => match[1] ?? '')
      return { path, room: name.split('/')[0] ?? '', text, imports }
    })
}

const sources = sourceFiles('src')
const everything = [...sources, ...sourceFiles('packages'), ...sourceFiles('test'), ...sourceFiles('scripts')]

describe('the house', () => {
  test('has no room that the import table does not know', () => {
    expect([...new Set(sources.map(({ room }) => room))].filter((room) => !(room in MAY_IMPORT))).toEqual([])
  })

  test('imports go one way', () => {
    const breaches: string[] = []
    for (const { path, room, imports } of sources)
      for (const specifier of imports.filter((name) => name.startsWith('.'))) {
        const target = relative(join(root, 'src'), resolve(root, dirname(path), specifier))
        if (target === '../package.json') continue
        const targetRoom = target.split('/')[0] ?? ''
        if (targetRoom !== room && !(MAY_IMPORT[room] ?? []).includes(targetRoom))
          breaches.push(`${path} imports ${target}`)
      }
    expect(breaches).toEqual([])
  })

  test('third parties are met only at their border', () => {
    const breaches = sources.flatMap(({ path, room, imports }) =>
      imports
        .filter((name) => name in BORDERS && !(BORDERS[name] ?? []).includes(room))
        .map((name) => `${path} imports ${name}`),
    )
    expect(breaches).toEqual([])
  })

  // What is imported where it is called does not count: it is loaded only if that is reached.
  test('a restore that finds everything at home loads no swarm, no schemas and no zip reader', () => {
    const loaded = new Set(['src/main.ts', 'src/cli/run.ts', 'src/app/restore.ts'])
    for (const path of loaded) {
      const text = sources.find((source) => source.path === path)?.text ?? ''
      for (const [, specifier = ''] of text.matchAll(/^(?:import|export)\s(?!type\b)(?:[^']*?\sfrom\s)?'([^']+)'/gm)) {
        loaded.add(specifier.startsWith('.') ? join(dirname(path), specifier) : specifier)
      }
    }
    const thirdParties = [...loaded].filter((name) => !/^(?:src\/|node:|bun:|package\.json)/.test(name))
    expect(thirdParties.sort()).toEqual(['@logtape/logtape', 'commander', 'yaml'])
    expect(loaded).toContain('src/catalog/unpack-catalog.ts')
  })

  test('time and randomness come from base', () => {
    const breaches = sources
      .filter(({ room, text }) => room !== 'base' && /\b(setTimeout|setInterval|Math\.random|Date\.now)\(/.test(text))
      .map(({ path }) => path)
    expect(breaches).toEqual([])
  })

  test('packages know nothing of src', () => {
    const breaches = sourceFiles('packages').filter(({ imports }) => imports.some((name) => name.includes('../src/')))
    expect(breaches.map(({ path }) => path)).toEqual([])
  })

  test('no file needs scrolling to be understood', () => {
    const long = [...sources, ...sourceFiles('packages')]
      .map(({ path, text }) => ({ path, lines: text.split('\n').length }))
      .filter(({ lines }) => lines > LINES_MAX)
    expect(long).toEqual([])
  })

  test('every module says what it is for', () => {
    const silent = [...sources, ...sourceFiles('packages')].filter(({ text }) => !/^(#!.*\n)?\/(\*\*|\/)/.test(text))
    expect(silent.map(({ path }) => path)).toEqual([])
  })

  test('nothing is left half done', () => {
    const words = new RegExp(['TO' + 'DO', 'FIX' + 'ME', 'X{3}\\b', '@ts-' + 'ignore', 'export ' + 'default'].join('|'))
    expect(everything.filter(({ text }) => words.test(text)).map(({ path }) => path)).toEqual([])
  })
})

describe('the documents', () => {
  const read = (name: string) => readFileSync(join(root, name), 'utf8')

  test('the README lists every exit code', () => {
    const readme = read('README.md')
    for (const [blame, code] of Object.entries(EXIT_CODES)) expect(readme).toContain(`| ${code} | \`${blame}\` |`)
    for (const code of [0, EXIT_BUG, EXIT_INTERRUPTED]) expect(readme).toContain(`| ${code} |`)
  })

  test('every dependency has its line', () => {
    const { dependencies, devDependencies } = JSON.parse(read('package.json'))
    const lines = read('DEPENDENCIES.md')
    for (const name of Object.keys({ ...dependencies, ...devDependencies })) expect(lines).toContain(`| ${name} |`)
  })
})
