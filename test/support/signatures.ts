/** Signatures made up by a test: of keys with fixed seeds, on a catalog with fixed facts. */
import fc from 'fast-check'
import { type Sha256Digest, sha256Of } from '../../src/blob/digest.ts'
import { catalogName } from '../../src/catalog/names.ts'
import { type CatalogSignature, type CatalogStatement, signCatalog } from '../../src/trust/catalog-signature.ts'
import type { NamedKey } from '../../src/trust/key-text.ts'
import { type KeyPair, keyPairFrom } from '../../src/trust/keys.ts'

export const digestOf = (text: string): Sha256Digest => sha256Of(new TextEncoder().encode(text))

export const STATEMENT: CatalogStatement = {
  catalog: catalogName('0123456789abcdef', 'linux_amd64'),
  base: '/opt/robocorp/ht',
  sha256: digestOf('catalog'),
  pieceTable: digestOf('pieces'),
  serial: 7,
  timeMs: Date.UTC(2026, 10, 25, 14),
  role: 'builder',
}

/** The same name gives the same key. */
export function pairOf(name: string): KeyPair {
  return keyPairFrom(Uint8Array.fromHex(digestOf(name)))
}

export function namedKey(name: string): NamedKey {
  return { name, publicKey: pairOf(name).publicKey }
}

/** @param secrets of the fleets whose member the signer is */
export function signedBy(
  name: string,
  change: Partial<CatalogStatement> = {},
  secrets: readonly Uint8Array[] = [],
): CatalogSignature {
  return signCatalog({ ...STATEMENT, ...change }, name, pairOf(name), secrets)
}

const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const digest = bytesOf(32).map((bytes) => bytes.toHex() as Sha256Digest)

export const anyStatement: fc.Arbitrary<CatalogStatement> = fc.record({
  catalog: fc
    .tuple(bytesOf(8), fc.constantFrom('linux_amd64', 'darwin_arm64', 'windows_amd64'))
    .map(([blueprint, platform]) => catalogName(blueprint.toHex(), platform)),
  base: fc.oneof(fc.string({ minLength: 1, maxLength: 100, unit: 'binary' }), fc.constant('C:\\ProgramData\\ht')),
  sha256: digest,
  pieceTable: digest,
  serial: fc.oneof(
    fc.integer({ min: 1, max: 1000 }),
    fc.maxSafeInteger().map((number) => Math.abs(number) || 1),
  ),
  timeMs: fc.integer({ min: 0, max: 8_640_000_000_000_000 }),
  role: fc.constantFrom('builder' as const, 'holder' as const),
})

/** Well formed; nobody has made them. */
export const anySignature: fc.Arbitrary<CatalogSignature> = fc.record({
  statement: anyStatement,
  key: fc.record({ name: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/), publicKey: bytesOf(32) }),
  signature: bytesOf(64),
  memberTags: fc.array(bytesOf(32), { maxLength: 16 }),
})
