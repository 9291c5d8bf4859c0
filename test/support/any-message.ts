/** Every message of holo-peer/1, for property tests. */
import fc from 'fast-check'
import { PIECES_MAX } from '../../src/base/limits.ts'
import type { Sha256Digest } from '../../src/blob/digest.ts'
import type { CatalogName } from '../../src/catalog/tree.ts'
import { BYE_CODES, type Lease, type Message, MISSING_REASONS } from '../../src/peer/messages.ts'
import { type PieceMessage, REFUSALS } from '../../src/peer/piece-messages.ts'

const request = fc.nat(0xffffffff)
const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const hexOf = (length: number) => bytesOf(length).map((bytes) => Buffer.from(bytes).toString('hex'))
const digest = hexOf(32).map((text) => text as Sha256Digest)
const digests = fc.array(digest, { minLength: 1, maxLength: 20 })
const indexes = fc.array(fc.nat(1023), { maxLength: 20 })
const held = fc.uniqueArray(fc.nat(1023), { maxLength: 20 }).map((some) => some.sort((left, right) => left - right))
const name = fc
  .tuple(hexOf(8), fc.constantFrom('linux_amd64', 'darwin_arm64', 'windows_amd64'))
  .map(([blueprint, platform]) => `${blueprint}v12.${platform}` as CatalogName)
const text = fc.stringMatching(/^[ -~]{0,40}$/)
const part = fc.record({
  request,
  index: fc.nat(1023),
  encoding: fc.constantFrom('identity' as const, 'gzip' as const),
  storedBytes: fc.option(fc.nat(2 ** 34), { nil: undefined }),
  last: fc.boolean(),
  chunk: fc.uint8Array({ maxLength: 200 }),
})
const pieces = fc.uniqueArray(fc.nat(PIECES_MAX - 1), { maxLength: 20 })
const bits = fc.nat(200).chain((count) =>
  fc.array(fc.boolean(), { minLength: count, maxLength: count }).map((held) => {
    const field = new Uint8Array(Math.ceil(count / 8))
    for (const [piece, one] of held.entries())
      if (one) field[piece >> 3] = (field[piece >> 3] ?? 0) | (0x80 >> (piece & 7))
    return { count, bits: field }
  }),
)
const chunk = fc.uint8Array({ maxLength: 200 })
const anyPieceMessage: fc.Arbitrary<PieceMessage> = fc.oneof(
  fc.tuple(digest, bits).map(([catalog, field]) => ({ type: 'pieces-held' as const, catalog, ...field })),
  fc.record({ type: fc.constant('pieces-got' as const), catalog: digest, pieces }),
  fc.record({ type: fc.constant('catalog-coming' as const), catalog: digest }),
  fc
    .tuple(
      request,
      digest,
      fc.uniqueArray(fc.nat(PIECES_MAX - 1), { minLength: 1, maxLength: 20 }),
      fc.double({ min: 0, max: 1 }),
    )
    .chain(([number, catalog, choices, share]) =>
      fc.constantFrom('fast' as const, 'small' as const).map((preference) => ({
        type: 'want-pieces' as const,
        request: number,
        catalog,
        preference,
        count: Math.max(1, Math.floor((Number.isNaN(share) ? 1 : share) * choices.length)),
        choices,
      })),
    ),
  fc
    .record({
      request,
      catalog: digest,
      piece: fc.nat(PIECES_MAX - 1),
      encoding: fc.constantFrom('identity' as const, 'zstd' as const),
      wireBytes: fc.integer({ min: 1, max: 2 ** 20 }),
      shares: fc.tuple(fc.nat(99), fc.nat(100)),
      knownCrc: fc.nat(0xffffffff),
    })
    .map(({ encoding, wireBytes, shares: [from, known], knownCrc, ...named }) => ({
      type: 'want-rest' as const,
      ...named,
      rest: {
        encoding,
        wireBytes,
        from: Math.floor((wireBytes * from) / 100),
        knownBytes: Math.floor((wireBytes * known) / 100),
        knownCrc,
      },
    })),
  fc.record({
    type: fc.constant('piece' as const),
    request,
    piece: fc.nat(PIECES_MAX - 1),
    encoding: fc.constantFrom('identity' as const, 'zstd' as const),
    wireBytes: fc.nat(2 ** 20),
    chunk,
  }),
  fc.record({ type: fc.constant('piece-more' as const), chunk }),
  fc.record({ type: fc.constant('refuse-pieces' as const), request, reason: fc.constantFrom(...REFUSALS), pieces }),
  fc.record({ type: fc.constant('cancel-pieces' as const), request, pieces }),
  fc.record({ type: fc.constant('choke' as const), choked: fc.boolean() }),
  fc.record({ type: fc.constant('piece-table' as const), request, catalog: digest }),
)
const anyLease: fc.Arbitrary<Lease> = fc.oneof(
  fc.record({
    type: fc.constant('lease' as const),
    name,
    state: fc.constantFrom('none' as const, 'wish' as const),
    catalog: fc.constant(undefined),
  }),
  fc.record({
    type: fc.constant('lease' as const),
    name,
    state: fc.constant('held' as const),
    catalog: fc.option(fc.record({ sha256: digest, storedBytes: fc.nat(2 ** 26) }), { nil: undefined }),
  }),
)
export const anyMessage: fc.Arbitrary<Message> = fc.oneof(
  fc.record({
    type: fc.constant('hello' as const),
    versionLowest: fc.constant(1),
    versionHighest: fc.integer({ min: 1, max: 9 }),
    proofs: fc.array(bytesOf(32), { maxLength: 16 }),
    role: fc.constantFrom('daemon' as const, 'client' as const),
    agent: text,
    delegation: fc.option(fc.record({ machineKey: bytesOf(32), signature: bytesOf(64) }), { nil: undefined }),
  }),
  fc.record({ type: fc.constant('bye' as const), code: fc.constantFrom(...BYE_CODES), text }),
  fc.record({
    type: fc.constant('have' as const),
    added: fc.array(fc.record({ name, sha256: digest, storedBytes: fc.nat(2 ** 26) }), { maxLength: 20 }),
    removed: fc.array(name, { maxLength: 20 }),
  }),
  fc.record({ type: fc.constant('catalog' as const), request, name }),
  fc.record({ type: fc.constantFrom('want' as const, 'ask' as const), request, digests }),
  fc.record({ type: fc.constant('parts' as const), parts: fc.array(part, { maxLength: 20 }) }),
  fc.record({ type: fc.constant('missing' as const), request, reason: fc.constantFrom(...MISSING_REASONS), indexes }),
  fc.record({ type: fc.constant('cancel' as const), request, indexes }),
  fc.record({ type: fc.constant('holding' as const), request, indexes: held }),
  fc.record({ type: fc.constant('credit' as const), bytes: fc.nat(4 * 1024 * 1024) }),
  fc.record({ type: fc.constant('signatures' as const), request, catalog: digest }),
  fc.record({ type: fc.constant('lane-wish' as const) }),
  fc.record({
    type: fc.constant('lane-offer' as const),
    lane: fc.option(fc.record({ port: fc.nat(65535), certificate: bytesOf(32), ticket: bytesOf(32) }), {
      nil: undefined,
    }),
  }),
  anyLease,
  anyPieceMessage,
)
