import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { noisePayload, type Payload } from 'hyperdht/lib/messages.js'
import NoiseWrap from 'hyperdht/lib/noise-wrap.js'
import { decodeVouched, encodeVouched, VouchedHandshake } from '../../src/discovery/vouched-handshake.ts'
import { deriveSessionKey, keyPairFrom, randomSecret } from '../../src/trust/keys.ts'
import { runs } from '../support/runs.ts'

const address = fc.record({ host: fc.ipV4(), port: fc.integer({ min: 1, max: 65535 }) })
/** What HyperDHT says in the first message of a call, and more. */
const payload: fc.Arbitrary<Payload> = fc.record({
  version: fc.constant(1),
  error: fc.nat(3),
  firewall: fc.nat(3),
  holepunch: fc.constant(null),
  addresses4: fc.array(address, { maxLength: 4 }),
  addresses6: fc.constant([]),
  udx: fc.record({
    version: fc.constant(1),
    reusableSocket: fc.boolean(),
    id: fc.nat(2 ** 31),
    seq: fc.nat(1000),
  }),
  secretStream: fc.constant({ version: 1 }),
  relayThrough: fc.constant(null),
  relayAddresses: fc.option(fc.array(address, { minLength: 1, maxLength: 3 })),
})
const machine = keyPairFrom(randomSecret())
const [caller, called] = [deriveSessionKey(machine, randomSecret()), keyPairFrom(randomSecret())]

test('decodeVouched() reads what encodeVouched() wrote, and so does an unchanged HyperDHT', () => {
  fc.assert(
    fc.property(payload, fc.boolean(), (told, vouched) => {
      const bytes = encodeVouched(told, vouched ? caller.delegation : undefined)
      const { delegation, ...rest } = decodeVouched(bytes)
      expect(rest).toEqual(told)
      expect(delegation).toEqual(vouched ? caller.delegation : undefined)
      const buffer = Buffer.from(bytes)
      expect(noisePayload.decode({ start: 0, end: buffer.byteLength, buffer })).toEqual(told)
    }),
    { numRuns: runs(200) },
  )
})

// Goal: whatever a caller puts there, the firewall either gets a payload or HyperDHT an error that it catches; cut or
// longer words of a machine count as none.
test('decodeVouched() takes rubbish for what it is', () => {
  fc.assert(
    fc.property(payload, fc.uint8Array({ maxLength: 400 }), fc.nat(100), (told, rubbish, cut) => {
      try {
        decodeVouched(rubbish)
      } catch (error) {
        expect(error).toBeInstanceOf(Error)
      }
      const bytes = encodeVouched(told, caller.delegation)
      if (cut > 0) expect(decodeVouched(bytes.subarray(0, -cut)).delegation).toBeUndefined()
      expect(decodeVouched(Buffer.concat([bytes, Buffer.from([0])])).delegation).toBeUndefined()
    }),
    { numRuns: runs(300) },
  )
})

test('VouchedHandshake carries the word to the called alone, and shakes hands with an unchanged one on either side', () => {
  const told = fc.sample(payload, 1)[0] as Payload
  const ours = () => new VouchedHandshake(caller.keyPair, called.publicKey, caller.delegation)
  for (const [initiator, responder] of [
    [ours(), new VouchedHandshake(called, null, undefined)],
    [ours(), new NoiseWrap(called, null)],
    [new NoiseWrap(caller.keyPair, called.publicKey), new VouchedHandshake(called, null, undefined)],
  ] as const) {
    const first = initiator.send(told)
    expect(Buffer.from(first).includes(Buffer.from(machine.publicKey))).toBe(false)
    const heard: Payload & { delegation?: unknown } = responder.recv(first)
    const both = initiator instanceof VouchedHandshake && responder instanceof VouchedHandshake
    expect(heard.delegation).toEqual(both ? caller.delegation : undefined)
    expect(Buffer.from(caller.keyPair.publicKey).equals(responder.remotePublicKey ?? new Uint8Array(0))).toBe(true)
    expect(initiator.recv(responder.send(told))).toMatchObject({ version: 1 })
    expect(initiator.handshake).toMatchObject({ complete: true })
    expect(responder.handshake).toMatchObject({ complete: true })
  }
})
