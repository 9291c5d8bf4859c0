import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { blueprintHash, keyOfBytes, sip64, sip128, sip128Hasher } from '../../src/catalog/siphash.ts'
import { numRuns } from './support.ts'

const vectors = JSON.parse(readFileSync(join(import.meta.dir, '../golden/vectors/identity.json'), 'utf8')) as {
  hashes: { text: string; blueprint_hash_sip64: string; digest_compress_no_sip128: string }[]
}
const counting = (length: number) => Uint8Array.from({ length }, (_, index) => index)
const key = keyOfBytes(counting(16))

test('sip64() and sip128() give the values of the SipHash paper and its reference code', () => {
  expect(sip64(counting(15), key)).toBe(0xa129ca6149be45e5n)
  expect(sip128(counting(0), key)).toBe('a3817f04ba25a8e66df67214c7550293')
})

test('blueprintHash() and sip128Hasher() give the digits of rcc', () => {
  for (const { text, blueprint_hash_sip64, digest_compress_no_sip128 } of vectors.hashes) {
    expect(blueprintHash(text)).toBe(blueprint_hash_sip64)
    const hasher = sip128Hasher()
    hasher.update(new TextEncoder().encode(text))
    expect(String(hasher.digest())).toBe(digest_compress_no_sip128)
  }
})

test('sip128Hasher() gives the same digest however the bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 }), (chunks) => {
      const cut = sip128Hasher()
      for (const chunk of chunks) cut.update(chunk)
      const whole = sip128Hasher()
      whole.update(Buffer.concat(chunks))
      expect(cut.digest()).toBe(whole.digest())
    }),
    { numRuns: numRuns(300) },
  )
})
