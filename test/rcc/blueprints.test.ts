// Goal: rcc itself computes the blueprint that we do, for the golden inputs and for any environment file.
// Method: `rcc holotree hash` on each; fast-check makes odd spellings and mutations. Where both answer, the answers are
// equal. Of malformed YAML either refuses some that the other one reads (rcc ignores what follows a first line that is
// indented too far, say); that ends in an error, never in another environment, and must stay rare.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout } from 'bun:test'
import * as fs from 'node:fs'
import { join, resolve } from 'node:path'
import fc from 'fast-check'
import { HoloError } from '../../src/base/errors.ts'
import { composeBlueprint } from '../../src/catalog/blueprint.ts'
import { Lan } from '../support/lan.ts'
import { hasRccHosts, RccHost, rccTest } from '../support/rcc-hosts.ts'
import { runs } from '../support/runs.ts'

const golden = resolve(import.meta.dir, '../golden')

setDefaultTimeout(runs(120_000))

let lan: Lan
let host: RccHost
beforeAll(() => {
  if (!hasRccHosts) return
  lan = new Lan()
  host = RccHost.on(lan)
})
afterAll(async () => {
  await lan?.[Symbol.asyncDispose]()
})

type Answer = { readonly hash: string; readonly blueprint: string } | 'refused'

async function rccAnswer(paths: readonly string[], flags: readonly string[] = []): Promise<Answer> {
  const { exitCode, stdout, stderr } = await host.rcc(
    'holotree',
    'hash',
    '--json',
    '--show-blueprint',
    ...flags,
    ...paths,
  )
  if (stderr.includes('goroutine')) throw new Error(`rcc broke down: ${stderr}`)
  return exitCode === 0 ? JSON.parse(stdout) : 'refused'
}

function ownAnswer(paths: readonly string[], devDependencies = false): Answer {
  const files = paths.map((name) => ({ name, bytes: fs.readFileSync(name) }))
  try {
    const { hash, text } = composeBlueprint(files, { localChannel: undefined, devDependencies })
    return { hash, blueprint: text }
  } catch (error) {
    if (error instanceof HoloError && error.blame === 'input') return 'refused'
    throw error
  }
}

describe('the golden blueprints', () => {
  const root = join(golden, 'blueprints')
  for (const id of fs.readdirSync(root).filter((name) => name.endsWith('.in')))
    rccTest(`rcc still answers as recorded to each file of ${id}, and so do we`, async () => {
      const vector = JSON.parse(fs.readFileSync(join(root, `${id.slice(0, -3)}.json`), 'utf8'))
      const folder = join(root, id)
      const environments = fs
        .readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.yaml') && !name.endsWith('robot.yaml'))
      for (const name of environments) {
        const path = join(folder, name)
        expect([name, ownAnswer([path])]).toEqual([name, await rccAnswer([path])])
      }
      // A robot's choice of file is tested with the recorded answers; 29 reads its standard input.
      if (vector.robot !== undefined || vector.id === '29-stdin') return
      const paths = vector.args.map((name: string) => join(folder, name))
      if (!paths.every((path: string) => fs.existsSync(path))) return
      const answer = await rccAnswer(paths, vector.devdeps ? ['--devdeps'] : [])
      expect(ownAnswer(paths, vector.devdeps)).toEqual(answer)
      expect(answer === 'refused' ? null : answer.hash).toBe(vector.hash)
    })
})

/** What stands for one dependency, channel or command: usual ones, and texts that YAML or rcc take for something else. */
const text = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(
        fc.constantFrom('python', 'numpy', 'uv', 'pip', 'PyYAML', 'a', 'b', 'ä_b', 'conda-forge::x', 'x[y]', '-r'),
        fc.constantFrom('', '=', '==', '>=', '~=', '!=', ' == ', ' ', '<'),
        fc.constantFrom(
          '',
          '3.10.12',
          '1.*',
          '3.9=*cp39',
          '2,<3',
          '2 # no',
          '1; python_version<"3"',
          ` ${'w '.repeat(50)}`,
        ),
      )
      .map((parts) => parts.join('')),
  },
  fc.constantFrom(
    ...[
      'yes',
      'y',
      'no',
      '1.0',
      '1_0',
      '~',
      'null',
      '2020-01-01',
      '0o7',
      '0x1F',
      '12:30',
      '.5',
      '1e3',
      '+.inf',
      '=',
      '<<',
    ],
    ...['', ' ', 'a: b', 'a:', ':a', '@x', '*a', '&a x', '!t x', '%x', '`x', '#c', 'x #c', '- x', '? x', '[x', '{x}'],
    ...['x]', 'a,b', '|', '>', '"q"', "it's", '\\', 'trailing ', ' leading', 'two\nlines', '\nlines\n', 'tab\tx'],
    ...['emoji 😀', 'nel\u0085x', 'ls\u2028x', 'bom\ufeffx', '\u00a0nbsp', '\u200b', `long ${'word '.repeat(30)}end`],
    ...['https://example.org/simple/?a=b&c', 'git+https://x/y.git@v1#egg=z', '--hash=sha256:00', 'x'.repeat(130)],
  ),
  fc.string({ unit: 'binary', maxLength: 12 }),
)

/** One text in one of YAML's spellings, also where that is no valid YAML. */
const spelled = fc.tuple(text, fc.nat(7)).map(([value, style]) => {
  const lines = (indent: string) =>
    value
      .split('\n')
      .map((line) => (line === '' ? '' : indent + line))
      .join('\n')
  if (style === 0) return JSON.stringify(value)
  if (style === 1) return `'${value.replaceAll("'", "''")}'`
  if (style === 2) return `|-\n${lines('      ')}`
  if (style === 3) return `>\n${lines('        ')}`
  if (style === 4) return `${value} # comment`
  return value
})

const list = (indent: string) =>
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc
        .array(spelled, { maxLength: 6 })
        .map((items) => items.map((item) => `\n${indent}- ${item}`).join('')),
    },
    fc.array(spelled, { maxLength: 4 }).map((items) => ` [${items.join(', ')}]`),
    fc.constantFrom('', ' []', ' ~', ' {}', ' text', ' 1'),
  )

const dependencies = fc
  .array(
    fc.oneof(
      { weight: 5, arbitrary: spelled },
      { weight: 2, arbitrary: list('    ').map((items) => `pip:${items}`) },
      fc.constantFrom('~', '[a]', '{}', 'npm: [x]', '{pip: [x==1, y]}', '{pip: x}', '1', ''),
    ),
    { maxLength: 8 },
  )
  .map((items) => items.map((item) => `\n- ${item}`).join(''))

const document = fc
  .record({
    fields: fc.array(
      fc.oneof(
        { weight: 3, arbitrary: dependencies.map((items) => `dependencies:${items}`) },
        { weight: 2, arbitrary: list('').map((items) => `channels:${items}`) },
        { weight: 2, arbitrary: list('  ').map((items) => `rccPostInstall:${items}`) },
        spelled.map((value) => `name: ${value}`),
        spelled.map((value) => `prefix: ${value}`),
        fc.constantFrom('other: {a: [b, {c: d}]}', '# comment', '', 'x: &a {pip: [z]}', '<<: {name: merged}'),
      ),
      { minLength: 1, maxLength: 6 },
    ),
    lineBreak: fc.constantFrom('\n', '\n', '\r\n', '\r', '\u0085'),
    start: fc.constantFrom('', '', '', '---\n', '\ufeff', '%YAML 1.1\n---\n', '# first\n'),
    end: fc.constantFrom('\n', '\n', '', '\n...\n', '\n---\nname: second\n', '\n \n'),
  })
  .map(({ fields, lineBreak, start, end }) => (start + fields.join('\n') + end).replaceAll('\n', lineBreak))

/** A golden file in which some pieces were moved, doubled or lost. */
function mutated(originals: readonly string[]): fc.Arbitrary<string> {
  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    remove: fc.nat(6),
    insert: fc.oneof(
      fc.constantFrom('', '\n', ' ', '  ', '- ', ': ', '"', "'", '#', '[', ']', '|', '&a ', '*a', '\t'),
      text,
    ),
  })
  return fc
    .tuple(fc.constantFrom(...originals), fc.array(edit, { minLength: 1, maxLength: 3 }))
    .map(([original, edits]) =>
      edits.reduce((now, { at, remove, insert }) => {
        const from = Math.floor(at * now.length)
        return now.slice(0, from) + insert + now.slice(from + remove)
      }, original),
    )
}

describe('any environment file', () => {
  /** Compares answers to many files, and counts those that one side alone refused. */
  class Comparison {
    #compared = 0
    #oneSided = 0

    async compare(...contents: string[]): Promise<void> {
      const paths = contents.map((content, index) => {
        const path = join(host.host.folder, `${index}-conda.yaml`)
        fs.writeFileSync(path, content)
        return path
      })
      const [own, theirs] = [ownAnswer(paths), await rccAnswer(paths)]
      this.#compared++
      if (own !== 'refused' && theirs !== 'refused') expect(own).toEqual(theirs)
      else if (own !== theirs) this.#oneSided++
    }

    expectFewOneSided(): void {
      console.log(`${this.#compared} compared, ${this.#oneSided} refused by one side alone`)
      expect(this.#oneSided).toBeLessThan(this.#compared / 8)
    }
  }

  rccTest('has the same blueprint, however it is spelled', async () => {
    const comparison = new Comparison()
    const property = fc.asyncProperty(document, (content) => comparison.compare(content))
    await fc.assert(property, { numRuns: runs(300) })
    comparison.expectFewOneSided()
  })

  rccTest('has the same blueprint after mutations', async () => {
    const originals = fs
      .readdirSync(golden, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('conda.yaml'))
      .map((name) => fs.readFileSync(join(golden, name), 'utf8'))
    const comparison = new Comparison()
    const property = fc.asyncProperty(mutated(originals), (content) => comparison.compare(content))
    await fc.assert(property, { numRuns: runs(150) })
    comparison.expectFewOneSided()
  })

  rccTest('is merged with another to the same blueprint', async () => {
    const comparison = new Comparison()
    const property = fc.asyncProperty(document, document, (left, right) => comparison.compare(left, right))
    await fc.assert(property, { numRuns: runs(100) })
  })
})
