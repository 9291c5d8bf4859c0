// Goal: YAML is written and read as by Go's yaml.v2, which the blueprint hash depends on.
// Method: yaml-v2.json holds what yaml.v2 2.4.0 itself made of some hundred odd texts and documents.
import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { HoloError } from '../../src/base/errors.ts'
import { parseCondaYaml } from '../../src/catalog/conda-yaml.ts'
import { emitScalar } from '../../src/catalog/yaml-emit.ts'
import { readYaml } from '../../src/catalog/yaml-read.ts'
import { numRuns, readText, thrownBy } from './support.ts'

interface Document {
  yaml: string
  name: string
  prefix: string
  channels: string[]
  conda: string[]
  pip: string[]
  postInstall: string[]
}
const vectors = JSON.parse(readText(import.meta.dir, 'yaml-v2.json')) as {
  emit: [text: string, atTwo: string, atFour: string][]
  read: Document[]
}
const bytesOf = (text: string) => new TextEncoder().encode(text)

test('emitScalar() writes every text as yaml.v2 does', () => {
  const ended = (line: string) => (/[\n\u2028\u2029]$/.test(line) ? line : `${line}\n`)
  for (const [text, atTwo, atFour] of vectors.emit) {
    expect(ended(`- ${emitScalar(text, { column: 2, indent: 2 })}`)).toBe(`- ${atTwo}`)
    expect(ended(`  - ${emitScalar(text, { column: 4, indent: 4 })}`)).toBe(`  - ${atFour}`)
  }
})

test('readYaml() reads every document as yaml.v2 does', () => {
  for (const { yaml, ...wanted } of vectors.read) {
    const fields = readYaml(bytesOf(yaml), 'conda.yaml')
    const conda: string[] = []
    const pip: string[] = []
    for (const item of fields.get('dependencies')?.looseList() ?? []) {
      if (item.kind === 'text') conda.push(item.text)
      const group = item.kind === 'map' ? item.fields.get('pip') : undefined
      if (group?.isList()) for (const inner of group.looseList()) if (inner.kind === 'text') pip.push(inner.text)
    }
    const actual = {
      name: fields.get('name')?.text() ?? '',
      prefix: fields.get('prefix')?.text() ?? '',
      channels: fields.get('channels')?.textList() ?? [],
      conda,
      pip,
      postInstall: fields.get('rccPostInstall')?.textList() ?? [],
    }
    expect({ yaml, ...actual }).toEqual({ yaml, ...wanted })
  }
})

test('readYaml() names file, line and column of what is malformed', () => {
  const error = thrownBy(() => readYaml(bytesOf('channels:\n- "unclosed\n'), '/r/conda.yaml'))
  expect(error).toMatchObject({ code: 'yaml-malformed', blame: 'input' })
  expect(error.message).toMatch(/^\/r\/conda\.yaml cannot be read \(line \d+, column \d+\): /)
  const typed = thrownBy(() =>
    readYaml(bytesOf('a: 1\nchannels: conda-forge\n'), 'conda.yaml').get('channels')?.textList(),
  )
  expect(typed.code).toBe('yaml-type')
  expect(typed.message).toBe(
    'conda.yaml cannot be read (line 2, column 11): the text "conda-forge" stands where a list is expected',
  )
  expect(thrownBy(() => readYaml(bytesOf('- a\n'), 'x')).message).toContain('a list stands where a map is expected')
})

test('readYaml() reads UTF-16 with a byte order mark, and refuses bytes that are no text', () => {
  const utf16 = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('name: ä\r\n', 'utf16le')])
  expect(readYaml(utf16, 'x').get('name')?.text()).toBe('ä')
  expect(thrownBy(() => readYaml(Uint8Array.of(0x61, 0xff), 'x')).message).toContain('not UTF-8')
  expect(thrownBy(() => readYaml(bytesOf('name: a\nx: \x07'), 'x')).message).toContain(
    '(line 2, column 4): the control character U+0007',
  )
})

test('readYaml() takes a lone CR and NEL for line breaks', () => {
  const fields = readYaml(bytesOf('name: "a\u0085 b"\rchannels:\u0085- c\u0085- d\r\n'), 'x')
  expect(fields.get('name')?.text()).toBe('a b')
  expect(fields.get('channels')?.textList()).toEqual(['c', 'd'])
})

test('readYaml() follows merges and the last of repeated keys', () => {
  const yaml = 'base: &b\n  pip: [x]\n  n: 1\nuse:\n  <<: *b\n  n: 2\nname: one\nname: two\n'
  const fields = readYaml(bytesOf(yaml), 'x')
  expect(fields.get('name')?.text()).toBe('two')
  expect(fields.get('use')?.map()?.get('pip')?.textList()).toEqual(['x'])
  expect(fields.get('use')?.map()?.get('n')?.text()).toBe('2')
})

test('readYaml() bounds what aliases expand to, and how deep and large a file may be', () => {
  const thousand = Array(1000).fill('x').join(',')
  const laughs = `a: &a [${thousand}]\ndependencies: [${Array(1000).fill('{pip: *a}').join(',')}]\n`
  const options = { localChannel: undefined }
  expect(thrownBy(() => parseCondaYaml(bytesOf(laughs), 'x', options)).code).toBe('yaml-too-large')
  expect(thrownBy(() => readYaml(new Uint8Array(1024 * 1024 + 1).fill(0x20), 'x')).code).toBe('yaml-too-large')
  expect(thrownBy(() => readYaml(bytesOf('['.repeat(500_000)), 'x')).code).toBe('yaml-malformed')
  expect(thrownBy(() => readYaml(bytesOf('x: &a {<<: *a}\n'), 'x').get('x')?.map()).code).toBe('yaml-malformed')
})

test('parseCondaYaml() throws nothing but a HoloError on any text', () => {
  const piece = fc.constantFrom(
    'channels:',
    'dependencies:',
    '- ',
    '\n',
    '  ',
    'pip:',
    ' [',
    ']',
    '{',
    '}',
    '&a',
    '*a',
    '"',
    "'",
    '|',
    '>',
    '#',
    '---',
    '!!x',
    '<<:',
    '?',
    '\t',
    '%',
    'x',
    ', ',
    ': ',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      try {
        parseCondaYaml(bytesOf(pieces.join('')), 'x', { localChannel: undefined })
      } catch (error) {
        expect(error).toBeInstanceOf(HoloError)
      }
    }),
    { numRuns: numRuns(400) },
  )
})
