import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { composeBlueprint } from '../../src/catalog/blueprint.ts'
import { parseDependency, trimmed } from '../../src/catalog/dependency.ts'
import { numRuns, thrownBy } from './support.ts'

const options = { localChannel: undefined, devDependencies: false }
const fileOf = (name: string, text: string) => ({ name, bytes: new TextEncoder().encode(text) })

// Method: rcc's own expression, with Go's notions of \s and the dot spelt out, on texts short enough for it.
test("parseDependency() splits as rcc's expression does", () => {
  const expression = /^([^<=~!> ]+)[\t\n\f\r ]*(?:([<=~!>]*)[\t\n\f\r ]*([^\t\n\f\r ]+[^\n]*?))?$/
  const text = fc.array(
    fc.constantFrom('a', 'b-', '1', '=', '<', '>', '~', '!', ' ', '\t', '\n', '\u00a0', '\u2028', '[x]'),
    { maxLength: 10 },
  )
  fc.assert(
    fc.property(text, (parts) => {
      const original = trimmed(parts.join(''))
      const match = expression.exec(original)
      const wanted =
        match === null ? undefined : { original, name: match[1], qualifier: match[2] ?? '', version: match[3] ?? '' }
      expect(parseDependency(parts.join(''))).toEqual(wanted as ReturnType<typeof parseDependency>)
    }),
    { numRuns: numRuns(2000) },
  )
})

test('parseDependency() takes linear time on a line made to be slow', () => {
  expect(parseDependency(`${'a'.repeat(200_000)} ${'b '.repeat(200_000)}\nc`)).toBeUndefined()
})

test('composeBlueprint() puts the local channel before the channels of a conda.yaml', () => {
  const local = { ...options, localChannel: '/h/.robocorp/channel' }
  const { text } = composeBlueprint([fileOf('conda.yaml', 'channels: [conda-forge]\n')], local)
  expect(text).toBe('channels:\n- /h/.robocorp/channel\n- conda-forge\ndependencies: []')
})

test('composeBlueprint() takes a package.yaml of the shape of a conda.yaml for one', () => {
  const text = 'channels: [x]\ndependencies: [python=3.10]\n'
  const conda = composeBlueprint([fileOf('conda.yaml', text)], options)
  expect(composeBlueprint([fileOf('dir/Package.yaml', text)], options)).toEqual(conda)
})

test('composeBlueprint() tells what a package.yaml lacks, and where dev dependencies are unknown', () => {
  expect(thrownBy(() => composeBlueprint([fileOf('package.yaml', 'post-install: []')], options)).code).toBe(
    'package-yaml-incomplete',
  )
  const dev = { ...options, devDependencies: true }
  expect(thrownBy(() => composeBlueprint([fileOf('conda.yaml', '')], dev)).code).toBe('devdeps-without-package')
  expect(thrownBy(() => composeBlueprint([], options)).code).toBe('no-environment')
})
