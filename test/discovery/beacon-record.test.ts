import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  type Beacon,
  encodeAsker,
  encodeBeacon,
  readAskers,
  readBeacons,
  SERVICE,
} from '../../src/discovery/beacon-record.ts'
import { beaconTag } from '../../src/trust/fleet.ts'
import { runs } from '../support/runs.ts'

/** What multicast-dns turns records into bytes with, and bytes into records. */
const dnsPacket = require('dns-packet') as {
  encode(packet: object): Buffer
  decode(bytes: Uint8Array): { answers: []; additionals: [] }
}

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const beacon: fc.Arbitrary<Beacon> = fc.record({
  nonce: bytes(16),
  port: fc.integer({ min: 1, max: 65535 }),
  direct: fc.boolean(),
  tags: fc.array(bytes(8), { maxLength: 32 }),
  addresses: fc.array(fc.oneof(fc.ipV4(), fc.constantFrom('fd00::7', '2001:db8::1')), { maxLength: 3 }),
})
const overWire = (answers: object[]) => dnsPacket.decode(dnsPacket.encode({ type: 'response', answers }))

describe('readBeacons()', () => {
  test('reads what encodeBeacon() wrote, over the wire', () => {
    fc.assert(
      fc.property(beacon, (sent) => {
        expect(readBeacons(overWire(encodeBeacon(sent)))).toEqual([sent])
      }),
      { numRuns: runs(200) },
    )
  })

  test('says who asks only to those that look for it in a question', () => {
    fc.assert(
      fc.property(beacon, ({ nonce, port, tags }) => {
        const [questions, additionals] = [[{ name: SERVICE, type: 'PTR' }], encodeAsker({ nonce, port, tags })]
        const packet = dnsPacket.decode(dnsPacket.encode({ type: 'query', questions, additionals }))
        expect(readAskers(packet)).toEqual([{ nonce, port, tags, direct: false, addresses: [] }])
        // Nobody takes it for a service that is there: nothing points at it, and it has no address.
        expect(additionals.map(({ type }) => type).sort()).toEqual(['SRV', 'TXT'])
      }),
      { numRuns: runs(100) },
    )
  })

  test('passes over a goodbye, another version and records of other services', () => {
    const sent: Beacon = { nonce: new Uint8Array(16), port: 1, direct: false, tags: [], addresses: [] }
    expect(readBeacons(overWire(encodeBeacon(sent, true)))).toEqual([])
    const later = encodeBeacon(sent).map((each) => (each.type === 'TXT' ? { ...each, data: ['v=2'] } : each))
    expect(readBeacons(overWire(later))).toEqual([])
    const other = encodeBeacon(sent).map((each) => ({ ...each, name: each.name.replace(SERVICE, '_ipp._tcp.local') }))
    expect(readBeacons(overWire(other))).toEqual([])
  })

  // Goal: the group is open to everybody, and whatever comes in harms nothing. Method: bytes of beacons, damaged.
  test('stands any packet that the DNS library lets through', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 20 })
    fc.assert(
      fc.property(beacon, damage, (sent, places) => {
        const packet = dnsPacket.encode({ type: 'response', answers: encodeBeacon(sent) })
        for (const [place, value] of places) packet[place % packet.byteLength] = value
        let decoded: ReturnType<typeof dnsPacket.decode>
        try {
          decoded = dnsPacket.decode(packet)
        } catch {
          return
        }
        for (const { port, nonce, tags } of readBeacons(decoded)) {
          expect(port >= 1 && port <= 65535 && nonce.byteLength === 16).toBe(true)
          expect(tags.length <= 32 && tags.every((tag) => tag.byteLength === 8)).toBe(true)
        }
      }),
      { numRuns: runs(500) },
    )
  })

  test('stands records whose fields are of any type', () => {
    const record = fc.record({
      name: fc.constantFrom(`${'0'.repeat(32)}.${SERVICE}`, `${'0'.repeat(32)}.local`, ''),
      type: fc.constantFrom('SRV', 'TXT', 'A', 'AAAA'),
      ttl: fc.integer(),
      data: fc.anything(),
    })
    fc.assert(
      fc.property(fc.array(record, { maxLength: 20 }), (answers) => {
        for (const { addresses } of readBeacons({ answers, additionals: [] }))
          expect(addresses.every((each) => typeof each === 'string')).toBe(true)
      }),
      { numRuns: runs(500) },
    )
  })
})

describe('beaconTag()', () => {
  test('differs by secret, nonce and port, so that two beacons of one fleet have nothing in common', () => {
    const [secret, other] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
    const nonce = new Uint8Array(16)
    const tags = [
      beaconTag(secret, nonce, 1),
      beaconTag(other, nonce, 1),
      beaconTag(secret, new Uint8Array(16).fill(1), 1),
      beaconTag(secret, nonce, 2),
    ].map((tag) => Buffer.from(tag).toString('hex'))
    expect(new Set(tags).size).toBe(4)
    expect(beaconTag(secret, nonce, 1)).toEqual(beaconTag(secret, nonce, 1))
  })
})
