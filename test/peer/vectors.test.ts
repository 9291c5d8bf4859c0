/** The bytes of holo-peer/1, pinned: a second implementation, or a later version of ours, must agree with them. */
import { expect, test } from 'bun:test'
import type { Sha256Digest } from '../../src/blob/digest.ts'
import { encodeMessage } from '../../src/peer/codec.ts'
import { createFleet, fleetTopic } from '../../src/trust/fleet.ts'
import { decodeInvite, encodeInvite } from '../../src/trust/invite.ts'
import { fingerprint, keyPairFrom } from '../../src/trust/keys.ts'
import { memberTag, proveMembership } from '../../src/trust/membership.ts'
import { CATALOG } from '../support/members.ts'

const secret = Uint8Array.from({ length: 32 }, (_, index) => index)
const { publicKey } = keyPairFrom(Uint8Array.from({ length: 32 }, () => 1))
const handshakeHash = Uint8Array.from({ length: 64 }, (_, index) => 255 - index)
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

test('topics, proofs, tags, fingerprints and invites are what docs/protocol.md says', () => {
  expect({
    topic: hex(fleetTopic(secret, 'linux_amd64')),
    proof: hex(proveMembership(secret, { handshakeHash, publicKey, initiator: true })),
    tag: hex(memberTag(secret, publicKey)),
    fingerprint: fingerprint(publicKey),
    invite: encodeInvite(createFleet('line-4', secret, ['10.0.0.7:49737'])),
  }).toMatchInlineSnapshot(`
    {
      "fingerprint": "x8wk-hanc-5ewq",
      "invite": "holo-fleet1:NwZsaW5lLTQAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHwEOMTAuMC4wLjc6NDk3MzdDyd74",
      "proof": "13b45e612235846f9454fdf05e38e44da001bd6982f416d4f4ab8b9371d5ea3f",
      "tag": "53bec19d7c6df67375568bbcad482d0e8beec888717a87eb91b3ffcac93ad900",
      "topic": "45ea01f154cba8ce766d3088564b20046a0b2947ffa337e0f8bf81e709fee454",
    }
  `)
  expect(decodeInvite(encodeInvite(createFleet('line-4', secret))).fleet.name).toBe('line-4')
})

test('frames are what docs/protocol.md says', () => {
  const delegation = { machineKey: new Uint8Array(32).fill(2), signature: new Uint8Array(64).fill(3) }
  const proofs = [new Uint8Array(32).fill(1)]
  expect({
    hello: hex(
      encodeMessage({
        type: 'hello',
        versionLowest: 1,
        versionHighest: 1,
        proofs,
        role: 'client',
        agent: 'x',
        delegation,
      }),
    ),
    bye: hex(encodeMessage({ type: 'bye', code: 'not-a-member', text: 'no' })),
    catalog: hex(encodeMessage({ type: 'catalog', request: 300, name: CATALOG })),
    parts: hex(
      encodeMessage({
        type: 'parts',
        parts: [
          { request: 1, index: 2, encoding: 'gzip', storedBytes: 70_000, last: false, chunk: Buffer.from('ab') },
          { request: 1, index: 3, encoding: 'identity', storedBytes: 0, last: true, chunk: Buffer.alloc(0) },
        ],
      }),
    ),
    missing: hex(encodeMessage({ type: 'missing', request: 1, reason: 'failed', indexes: [4, 5] })),
    credit: hex(encodeMessage({ type: 'credit', bytes: 1_048_576 })),
    wantRest: hex(
      encodeMessage({
        type: 'want-rest',
        request: 1,
        catalog: 'ab'.repeat(32) as Sha256Digest,
        piece: 300,
        rest: { encoding: 'zstd', wireBytes: 70_000, from: 40_000, knownBytes: 30_000, knownCrc: 0xdeadbeef },
      }),
    ),
  }).toMatchInlineSnapshot(`
    {
      "bye": "0102026e6f",
      "catalog": "03fd2c011f303132333435363738396162636465667631322e6c696e75785f616d643634",
      "credit": "08fe00001000",
      "hello": "00010101010101010101010101010101010101010101010101010101010101010101010101017801020202020202020202020202020202020202020202020202020202020202020203030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303",
      "missing": "060102020405",
      "parts": "0502010205fe701101000261620103030000",
      "wantRest": "1801ababababababababababababababababababababababababababababababababfd2c0101fe70110100fd409cfd3075feefbeadde",
    }
  `)
})
