/** Any catalog that the decoder takes, for properties: odd names, links, shadows, relocations. */
import fc from 'fast-check'
import { parseDigest } from '../../src/blob/digest.ts'
import { compareBytewise } from '../../src/catalog/bytewise.ts'
import type { Catalog, CatalogDirectory, CatalogFile } from '../../src/catalog/tree.ts'

const nameArbitrary = fc
  .oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }),
    fc.constantFrom('__proto__', '<&>\u2028', '1', '10', '2', 'Z', 'é', '\u{1f40d}', '\uffee'),
  )
  .filter((name) => !name.includes('/') && !name.includes('\0') && name !== '.' && name !== '..')
const linkArbitrary = fc.option(fc.constantFrom('x', '../lib', '/abs/olute', 'a<b'), { nil: undefined })
const fileArbitrary = fc.record({
  symlink: linkArbitrary,
  // The digest follows from the size, so that no digest has two.
  sizeBytes: fc.integer({ min: 24, max: 1000 }),
  goMode: fc.constantFrom(420, 493, 2 ** 23 + 493),
  rewrite: fc.constantFrom([], [], [0], [0, 0]),
})
type Unnamed = Omit<CatalogDirectory, 'name'>

/** Directories nested up to `depth` levels. */
function treeOf(depth: number): fc.Arbitrary<Unnamed> {
  const none: fc.Arbitrary<Record<string, Unnamed>> = fc.constant({})
  return fc
    .record({
      symlink: linkArbitrary,
      shadow: fc.boolean(),
      subdirs: depth === 0 ? none : fc.dictionary(nameArbitrary, treeOf(depth - 1), { maxKeys: 3 }),
      files: fc.dictionary(nameArbitrary, fileArbitrary, { maxKeys: 4 }),
    })
    .map(({ symlink, shadow, subdirs, files }) => ({
      symlink,
      goMode: 2147484141,
      shadow,
      subdirs: sorted(Object.entries(subdirs).filter(([name]) => !Object.hasOwn(files, name))),
      files: sorted(
        Object.entries(files).map(([name, file]) => [name, { ...file, digest: digestFor(file.sizeBytes) }]),
      ),
    }))
}

function digestFor(size: number): CatalogFile['digest'] {
  const digest = parseDigest(size.toString(16).padStart(64, '0'))
  if (digest === undefined) throw new Error('no digest')
  return digest
}

function sorted<Entry>(entries: [string, Entry][]): Map<string, Entry & { name: string }> {
  const named = entries.map(([name, entry]): [string, Entry & { name: string }] => [name, { ...entry, name }])
  return new Map(named.sort(([left], [right]) => compareBytewise(left, right)))
}

/** A tree of up to three levels. */
export function anyCatalog(): fc.Arbitrary<Catalog> {
  return fc
    .record({ root: treeOf(3), space: fc.string({ maxLength: 5 }), lifted: fc.boolean() })
    .map(({ root, space, lifted }) => ({
      rcc: 'v18.18.1',
      identity: 'hdc4d952_493f813dad24d3t',
      path: '/ht/hdc4d952_493f813dad24d3t',
      controller: 'rcc.user',
      space: space.toWellFormed(),
      platform: 'linux_amd64',
      blueprint: '0123456789abcdef',
      lifted,
      tree: { ...root, name: '', symlink: undefined, shadow: false },
    }))
}
