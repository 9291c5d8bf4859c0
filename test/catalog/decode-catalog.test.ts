// Goal: a catalog from anywhere is either decoded within its bounds or refused with a HoloError; nothing else happens.
import { expect, test } from 'bun:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { HoloError } from '../../src/base/errors.ts'
import { decodeCatalog, decodeStoredCatalog } from '../../src/catalog/decode-catalog.ts'
import { numRuns, readText, smallRobots, thrownBy } from './support.ts'

const digestOf = (digit: string) => digit.repeat(64)
const file = (name: string, fields: object = {}) => ({
  name,
  size: 100,
  mode: 420,
  digest: digestOf('a'),
  rewrite: [],
  ...fields,
})
const directory = (name: string, fields: object = {}) => ({ name, mode: 2147484141, subdirs: {}, files: {}, ...fields })
const catalog = (tree: object, fields: object = {}) => ({
  rcc: 'v18.18.1',
  identity: 'hdc4d952_493f813dad24d3t',
  path: '/opt/robocorp/ht/hdc4d952_493f813dad24d3t',
  controller: '',
  space: '',
  platform: 'linux_amd64',
  blueprint: '56fea9c357370d29',
  lifted: true,
  tree,
  ...fields,
})
const bytesOf = (value: unknown) => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value))
const withFile = (name: string, fields: object = {}) =>
  catalog(directory('', { files: { [name]: file(name, fields) } }))
const onPlatform = (platform: string, path: string, files: object) =>
  catalog(directory('', { files }), { platform, path })

/** Assert that the catalog is refused, with words that tell why. */
function expectRefusal(value: unknown, words: string): void {
  const error = thrownBy(() => decodeCatalog(bytesOf(value), 'Catalog X of peer Y'))
  expect(error.code).toBe('catalog-invalid')
  expect(error.blame).toBe('source')
  expect(error.message).toStartWith('Catalog X of peer Y is refused: ')
  expect(error.message).toContain(words)
}

test('decodeCatalog() takes the plain catalog that the refusals below are made from', () => {
  const decoded = decodeCatalog(bytesOf(withFile('a.txt', { rewrite: [0, 76, 76] })))
  expect(decoded.tree.files.get('a.txt')).toMatchObject({ sizeBytes: 100, rewrite: [0, 76, 76], symlink: undefined })
})

const refusals: [what: string, value: unknown, words: string][] = [
  ['a name that climbs', withFile('..'), 'named ".."'],
  ['a name that stays', withFile('.'), 'named "."'],
  ['an empty name', withFile(''), 'empty name'],
  ['a name with a slash', withFile('../../etc/passwd'), 'contains a slash'],
  ['a name with a NUL', withFile('a\0b'), 'contains a NUL'],
  ['a name beyond 255 bytes', withFile('é'.repeat(128)), 'longer than 255'],
  ['a directory that climbs', catalog(directory('', { subdirs: { '..': directory('..') } })), 'named ".."'],
  ['a name that differs from its key', catalog(directory('', { files: { a: file('b') } })), 'calls itself "b"'],
  [
    'a name used twice, as file and directory',
    catalog(directory('', { files: { a: file('a') }, subdirs: { a: directory('a') } })),
    'both a file and a directory',
  ],
  ['a short digest', withFile('a', { digest: 'abc' }), 'malformed'],
  ['a digest in upper case', withFile('a', { digest: 'A'.repeat(64) }), 'malformed'],
  ['a digest that is a path', withFile('a', { digest: '../'.repeat(21) }), 'malformed'],
  [
    'digests of two kinds',
    catalog(directory('', { files: { a: file('a'), b: file('b', { digest: 'b'.repeat(32) }) } })),
    'another kind',
  ],
  [
    'one digest with two sizes',
    catalog(directory('', { files: { a: file('a'), b: file('b', { size: 7 }) } })),
    'stands for 100 and for 7 bytes',
  ],
  ['a negative size', withFile('a', { size: -1 }), 'not an integer'],
  ['a fractional size', withFile('a', { size: 1.5 }), 'not an integer'],
  ['an unsafe size', JSON.stringify(withFile('a')).replace('"size":100', '"size":9007199254740993'), 'not an integer'],
  ['a size above the limit', withFile('a', { size: 2 ** 40 }), 'above the limit'],
  ['no size', withFile('a', { size: undefined }), 'missing'],
  ['a relocation beyond the end', withFile('a', { rewrite: [77] }), 'beyond its end'],
  ['a negative relocation', withFile('a', { rewrite: [-1] }), 'not an integer'],
  ['a mode of a device', withFile('a', { mode: 2 ** 26 }), 'not that of a regular file'],
  ['a directory with the mode of a file', catalog(directory('', { mode: 420 })), 'not that of a directory'],
  ['a link text with a NUL', withFile('a', { symlink: 'x\0' }), 'contains a NUL'],
  ['a link text beyond 4096 bytes', withFile('a', { symlink: 'x'.repeat(4097) }), 'longer than 4096'],
  ['a root with a name', catalog(directory('root')), 'calls itself "root"'],
  ['a root that is a link', catalog(directory('', { symlink: '/etc' })), 'root is a link'],
  ['a root that is a shadow', catalog(directory('', { shadow: true })), 'shadow'],
  ['no tree', { ...catalog(directory('')), tree: undefined }, 'no tree'],
  ['a relative path', catalog(directory(''), { path: 'x/hdc4d952_493f813dad24d3t' }), 'not absolute'],
  [
    'a path that climbs',
    catalog(directory(''), { path: '/x/../hdc4d952_493f813dad24d3t' }),
    'not absolute and normalised',
  ],
  ['an identity of another length', catalog(directory(''), { path: '/x/short', identity: 'short' }), '24-byte end'],
  ['an identity that is not in the path', catalog(directory(''), { identity: 'x'.repeat(24) }), '24-byte end'],
  ['a malformed blueprint', catalog(directory(''), { blueprint: '56FEA9C357370D29' }), '16 hex digits'],
  ['a malformed platform', catalog(directory(''), { platform: 'linux' }), 'platform "linux" is unknown'],
  [
    'a Windows device name',
    onPlatform('windows_amd64', 'C:\\ht\\hdc4d952_493f813dad24d3t', { 'nul.txt': file('nul.txt') }),
    'Windows device',
  ],
  [
    'a backslash on windows',
    onPlatform('windows_amd64', 'C:\\ht\\hdc4d952_493f813dad24d3t', { '..\\x': file('..\\x') }),
    'Windows forbids',
  ],
  [
    'names that differ in case on darwin',
    onPlatform('darwin_arm64', '/ht/hdc4d952_493f813dad24d3t', { README: file('README'), Readme: file('Readme') }),
    'same name on darwin',
  ],
  ['trailing text', `${JSON.stringify(catalog(directory('')))}x`, 'more text follows'],
  ['half a catalog', JSON.stringify(withFile('a')).slice(0, -30), 'the text ends'],
  ['no JSON at all', 'import os', 'an object was expected'],
  ['an array', '[]', 'an object was expected'],
]

for (const [what, value, words] of refusals) {
  test(`decodeCatalog() refuses ${what}`, () => expectRefusal(value, words))
}

test('decodeCatalog() refuses a name that occurs twice in one object', () => {
  const one = JSON.stringify(file('a'))
  expectRefusal(
    JSON.stringify(catalog(directory(''))).replace('"files":{}', `"files":{"a":${one},"a":${one}}`),
    'twice',
  )
})

test('decodeCatalog() refuses raw bytes that are not UTF-8', () => {
  const bytes = bytesOf(withFile('aXb'))
  for (const [index, byte] of bytes.entries()) if (byte === 0x58) bytes[index] = 0xff
  expect(thrownBy(() => decodeCatalog(bytes)).message).toContain('not UTF-8')
})

test('decodeCatalog() keeps a backslash in a name where it is a letter like others', () => {
  expect(decodeCatalog(bytesOf(withFile('..\\x'))).tree.files.has('..\\x')).toBe(true)
})

test('decodeCatalog() takes keys of Object.prototype for names like others', () => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty']
  const entries = names.map((name) => `${JSON.stringify(name)}:${JSON.stringify(file(name))}`).join(',')
  const text = JSON.stringify(catalog(directory(''))).replace('"files":{}', `"files":{${entries}}`)
  expect([...decodeCatalog(bytesOf(text)).tree.files.keys()].sort()).toEqual([...names].sort())
  expect(({} as { digest?: string }).digest).toBeUndefined()
})

test('decodeCatalog() passes over fields that a later rcc may add', () => {
  const later = { ...withFile('a', { later: [{ x: null }, -1.5e3, 'é\\'] }), future: { a: [[], {}], b: true } }
  expect(decodeCatalog(bytesOf(later)).tree.files.size).toBe(1)
})

test('decodeCatalog() refuses nesting beyond its limit without touching the stack', () => {
  const deep = (levels: number) => {
    const open = '{"name":"d","mode":2147484141,"files":{},"subdirs":{"d":'.repeat(levels)
    const text = JSON.stringify(catalog(directory('', { subdirs: { d: 1 } })))
    return text.replace('"d":1', `"d":${open}${JSON.stringify(directory('d'))}${'}}'.repeat(levels)}`)
  }
  expect(decodeCatalog(bytesOf(deep(250))).tree.subdirs.size).toBe(1)
  expectRefusal(deep(100_000), 'nested deeper')
  expectRefusal(`{"future":${'['.repeat(1_000_000)}`, 'too deep')
  expectRefusal(`{"future":${'{"a":'.repeat(1_000_000)}`, 'too deep')
})

// Goal: how a file is written makes no difference. Method: the same files in rcc's order, which is read as a whole, and in
// others, or with one field more, which are read field by field; right and wrong ones, in blanks of every kind.
test('decodeCatalog() comes to the same by its quick way as field by field', () => {
  const blank = fc.stringMatching(/^[ \t\n\r]{0,3}$/)
  const text = fc.oneof(
    fc.constantFrom(
      '"a"',
      '"a b~!#[]"',
      '"b"',
      '".."',
      '".a"',
      '"a/b"',
      '"\\u0061"',
      '"é"',
      '"a\\"',
      '"\u007f"',
      '""',
      '1',
    ),
    fc.string({ maxLength: 4 }).map((each) => JSON.stringify(each)),
  )
  const number = fc.constantFrom(
    '0',
    '100',
    '420',
    '01',
    '-1',
    '1.0',
    '1e3',
    '9007199254740993',
    '4294967296',
    '"1"',
    '',
  )
  const digest = fc
    .constantFrom(digestOf('a'), digestOf('A'), 'a'.repeat(32), 'a'.repeat(63), '')
    .map((each) => `"${each}"`)
  const rewrite = fc.constantFrom('null', '[]', '[ ]', '[0]', '[90]', '[,]', '{}')
  const outcomeOf = (json: string) => {
    try {
      const { tree } = decodeCatalog(bytesOf(json))
      return { tree }
    } catch (error) {
      return { refused: error instanceof HoloError }
    }
  }
  fc.assert(
    fc.property(
      fc.array(fc.tuple(text, text, number, number, digest, rewrite), { minLength: 1, maxLength: 3 }),
      fc.boolean(),
      blank,
      fc.boolean(),
      (files, isFit, space, hasMore) => {
        const written = (isQuick: boolean) => {
          const members = files.map(([key, name, size, mode, sum, offsets]) => {
            const fields = isFit
              ? [`"name":${key}`, '"size":100', '"mode":420', `"digest":"${digestOf('a')}"`, '"rewrite":[]']
              : [`"name":${name}`, `"size":${size}`, `"mode":${mode}`, `"digest":${sum}`, `"rewrite":${offsets}`]
            const spaced = fields.map((field) => `${space}${field.replace(':', `:${space}`)}${space}`)
            if (!isQuick) spaced.push(hasMore ? `"later":[1,{"x":null}]` : (spaced.shift() ?? ''))
            return `${space}${key}:${space}{${spaced.join(',')}}`
          })
          const tree = JSON.stringify(catalog(directory('', { files: 'HERE' })))
          return tree.replace('"HERE"', () => `{${members.join(',')}${space}}`)
        }
        expect(outcomeOf(written(true))).toEqual(outcomeOf(written(false)))
      },
    ),
    { numRuns: numRuns(2000) },
  )
})

test('decodeCatalog() reads a file whose text is longer than what it looks at, or lies across its border', () => {
  for (const blanks of [0, 1000, 2040, 2048, 3000, 65_000, 65_536]) {
    const files = Array.from({ length: 400 }, (_, index) => `"f${index}":${JSON.stringify(file(`f${index}`))}`)
    files.splice(
      3,
      0,
      `"wide":${' '.repeat(blanks)}${JSON.stringify(file('wide')).replaceAll(',', `${' '.repeat(blanks / 4)},`)}`,
    )
    const tree = JSON.stringify(catalog(directory('', { files: 'HERE' }))).replace('"HERE"', `{${files.join(',')}}`)
    const decoded = decodeCatalog(bytesOf(tree))
    expect(
      [...decoded.tree.files.values()].every(({ sizeBytes, digest }) => sizeBytes === 100 && digest === digestOf('a')),
    ).toBe(true)
    expect(decoded.tree.files.size).toBe(401)
  }
})

test('decodeStoredCatalog() stops a bomb while it inflates', () => {
  const bomb = gzipSync(Buffer.alloc(200 * 1024 * 1024, ' '), { level: 9 })
  const before = process.memoryUsage().rss
  const error = thrownBy(() => decodeStoredCatalog(bomb))
  expect(error.code).toBe('catalog-invalid')
  expect(error.message).toContain('inflates to more than')
  expect(process.memoryUsage().rss - before).toBeLessThan(180 * 1024 * 1024)
})

test('decodeStoredCatalog() refuses what is no gzip, or half of one', () => {
  const stored = gzipSync(bytesOf(withFile('a')))
  expect(decodeStoredCatalog(stored).lifted).toBe(true)
  for (const bytes of [bytesOf(withFile('a')), stored.subarray(0, -10), new Uint8Array()]) {
    expect(thrownBy(() => decodeStoredCatalog(bytes)).message).toContain('no whole gzip stream')
  }
})

test('decodeCatalog() throws nothing but a HoloError on altered catalogs', () => {
  const original = Buffer.from(readText(smallRobots[0] ?? '', 'catalog.json').slice(0, 60_000))
  const snippets = [
    '"',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '-1',
    '\\',
    '\\u0000',
    'null',
    '1e9',
    '"name":',
    '"..":',
    '\0',
    '\xff',
  ]
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(original.length - 1), fc.constantFrom(...snippets), fc.nat(8)), {
        minLength: 1,
        maxLength: 6,
      }),
      (edits) => {
        let text = original
        for (const [at, snippet, dropped] of edits) {
          text = Buffer.concat([text.subarray(0, at), Buffer.from(snippet, 'latin1'), text.subarray(at + dropped)])
        }
        expectHoloErrorOrNothing(() => decodeCatalog(text))
      },
    ),
    { numRuns: numRuns(150) },
  )
})

test('decodeCatalog() throws nothing but a HoloError on any JSON and any bytes', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json().map(bytesOf), fc.uint8Array({ maxLength: 200 })), (bytes) => {
      expectHoloErrorOrNothing(() => decodeCatalog(bytes))
      expectHoloErrorOrNothing(() => decodeStoredCatalog(bytes))
    }),
    { numRuns: numRuns(300) },
  )
})

function expectHoloErrorOrNothing(work: () => unknown): void {
  try {
    work()
  } catch (error) {
    expect(error).toBeInstanceOf(HoloError)
  }
}
