// Goal: the blueprint text and hash of every vector that the real rcc made, errors included.
import { expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { blueprintOf, composeBlueprint, parseEnvironment } from '../../src/catalog/blueprint.ts'
import { parseRobotYaml, selectEnvironmentFile } from '../../src/catalog/robot-yaml.ts'

const root = join(import.meta.dir, '..', 'golden', 'blueprints')
const linux = { os: 'linux', arch: 'amd64' } as const

interface Vector {
  id: string
  note: string
  devdeps: boolean
  robot?: string
  args: string[]
  hash: string | null
  blueprint?: string
  error?: string[]
  resolved?: string
  publicly_cacheable_warning: boolean
}

interface Layers {
  cacheable: boolean
  conda_layer: string
  pip_layer: string
  full_layer: string
  hashes: string[]
  uv_native: boolean
}

const vectors = readdirSync(root)
  .filter((name) => /^\d\d-.*\.json$/.test(name))
  .sort()
  .map((name) => JSON.parse(readFileSync(join(root, name), 'utf8')) as Vector)

/** The files of a vector, as rcc collects them; vector 29 takes the content of 01 from stdin. */
function filesOf(vector: Vector): { name: string; bytes: Uint8Array }[] {
  const directory = join(root, vector.id === '29-stdin' ? '01-basic.in' : `${vector.id}.in`)
  const names = [...vector.args]
  if (vector.robot !== undefined && existsSync(join(directory, vector.robot))) {
    const robot = parseRobotYaml(readFileSync(join(directory, vector.robot)), vector.robot)
    const chosen = selectEnvironmentFile(robot, linux, (name) => existsSync(join(directory, name)))
    expect(chosen).toBe(vector.hash === null ? undefined : vector.resolved)
    if (chosen !== undefined) names.unshift(chosen)
  }
  return names.map((name) => ({ name, bytes: readFileSync(join(directory, name)) }))
}

test('there are 31 vectors', () => {
  expect(vectors).toHaveLength(31)
})

for (const vector of vectors) {
  test(`composeBlueprint() agrees with rcc on ${vector.id}: ${vector.note}`, () => {
    const options = { localChannel: undefined, devDependencies: vector.devdeps }
    if (vector.hash === null) {
      const words = /Wont choose between.*/.exec(vector.error?.join('\n') ?? '')?.[0] ?? 'Missing environment'
      expect(() => composeBlueprint(filesOf(vector), options)).toThrow(words)
      return
    }
    const blueprint = composeBlueprint(filesOf(vector), options)
    expect(blueprint.text).toBe(vector.blueprint ?? '')
    expect(blueprint.hash).toBe(vector.hash)
    expect(blueprint.publiclyCacheable).toBe(!vector.publicly_cacheable_warning)
  })
}

test('blueprintOf() makes the three layers that rcc records', () => {
  const layers = JSON.parse(readFileSync(join(root, 'layers.json'), 'utf8')) as Record<string, Layers>
  expect(Object.keys(layers).length).toBeGreaterThan(10)
  for (const [name, wanted] of Object.entries(layers)) {
    const environment = parseEnvironment(
      { name, bytes: readFileSync(join(root, name)) },
      { localChannel: undefined, devDependencies: false },
    )
    const { layers: actual, publiclyCacheable, uvNative } = blueprintOf(environment)
    expect(actual.map(({ text }) => text)).toEqual([wanted.conda_layer, wanted.pip_layer, wanted.full_layer])
    expect(actual.map(({ hash }) => hash)).toEqual(wanted.hashes)
    expect([publiclyCacheable, uvNative]).toEqual([wanted.cacheable, wanted.uv_native])
  }
})
