import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { catalogName } from '../../src/catalog/names.ts'
import {
  type CatalogStatement,
  nextSerial,
  signCatalog,
  signedText,
  tagsOf,
  verifySignature,
} from '../../src/trust/catalog-signature.ts'
import { formatKey } from '../../src/trust/key-text.ts'
import { decodeSignature, encodeSignature } from '../../src/trust/signature-json.ts'
import { runs } from '../support/runs.ts'
import { anyStatement, digestOf, namedKey, pairOf, STATEMENT, signedBy } from '../support/signatures.ts'

describe('verifySignature()', () => {
  test('accepts what its key has signed, and nothing that differs in any field', () => {
    const signature = signedBy('factory')
    expect(verifySignature(signature)).toBe(true)
    const others: Partial<CatalogStatement>[] = [
      { catalog: catalogName('0123456789abcdef', 'linux_arm64') },
      { base: '/opt/robocorp/h' },
      { sha256: digestOf('other') },
      { pieceTable: digestOf('other') },
      { serial: 8 },
      { timeMs: STATEMENT.timeMs + 1 },
      { role: 'holder' },
    ]
    expect(others.map((change) => Object.keys(change)[0]).sort()).toEqual(Object.keys(STATEMENT).sort())
    for (const change of others) {
      expect(verifySignature({ ...signature, statement: { ...STATEMENT, ...change } })).toBe(false)
    }
    expect(verifySignature({ ...signature, key: { ...signature.key, name: 'other' } })).toBe(false)
    expect(verifySignature({ ...signature, key: { ...namedKey('other'), name: 'factory' } })).toBe(false)
    expect(verifySignature({ ...signature, signature: new Uint8Array(64) })).toBe(false)
  })

  test('holds for any statement', () => {
    fc.assert(
      fc.property(anyStatement, (statement) => verifySignature(signCatalog(statement, 'x', pairOf('x'), []))),
      { numRuns: runs(50) },
    )
  })
})

// Goal: no two statements have one text, or a signature of one would pass for the other.
test('signedText() differs wherever statements or names differ', () => {
  fc.assert(
    fc.property(anyStatement, anyStatement, fc.constantFrom('a', 'ab'), (left, right, name) => {
      const isSame = JSON.stringify(left) === JSON.stringify(right) && name === 'a'
      expect(Buffer.from(signedText(left, 'a')).equals(signedText(right, name))).toBe(isSame)
    }),
    { numRuns: runs(200) },
  )
  // What moves over a border between two fields is another statement.
  const moved = [signedText({ ...STATEMENT, base: '/a' }, 'bc'), signedText({ ...STATEMENT, base: '/ab' }, 'c')]
  expect(moved[0]).not.toEqual(moved[1])
})

test('nextSerial() grows over a clock that was set back, and over a lost state', () => {
  expect(nextSerial(undefined, 1_764_000_000_999)).toBe(1_764_000_000)
  expect(nextSerial(1_764_000_000, 1_000)).toBe(1_764_000_001)
  expect(nextSerial(5, 1_764_000_000_000)).toBe(1_764_000_000)
})

// Vectors for a second implementation; `seed` makes the key pair, `text` is what is signed, `line` is what travels.
test('signatures are what docs/protocol.md says', () => {
  const path = join(import.meta.dir, '../golden/vectors/signatures.json')
  const { vectors } = JSON.parse(readFileSync(path, 'utf8'))
  const secret = Uint8Array.from({ length: 32 }, (_, index) => index)
  const made = [
    signedBy('factory', {}, [secret]),
    signedBy('k5w3-8xqh-9m2p', { role: 'holder', base: 'C:\\ProgramData\\robocorp\\ht', serial: 2 ** 40 }),
  ].map((signature) => ({
    seed: digestOf(signature.key.name),
    secrets: signature.memberTags.map(() => Buffer.from(secret).toString('hex')),
    key: formatKey(signature.key),
    text: Buffer.from(signedText(signature.statement, signature.key.name)).toString('hex'),
    line: new TextDecoder().decode(encodeSignature(signature)),
  }))
  expect(made).toEqual(vectors)
  for (const { line } of vectors) {
    const signature = decodeSignature(new TextEncoder().encode(line))
    expect(signature !== undefined && verifySignature(signature)).toBe(true)
  }
  expect(tagsOf(pairOf('factory').publicKey, [secret])).toEqual([
    ...(decodeSignature(Buffer.from(vectors[0].line))?.memberTags ?? []),
  ])
})
