import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { SIGNATURE_BYTES_MAX, SIGNATURES_MAX } from '../../src/base/limits.ts'
import {
  decodeSignature,
  decodeSignatures,
  encodeSignature,
  encodeSignatures,
  signatureLines,
} from '../../src/trust/signature-json.ts'
import { runs } from '../support/runs.ts'
import { anySignature, signedBy } from '../support/signatures.ts'

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const bytes = (line: string) => new TextEncoder().encode(line)
const line = text(encodeSignature(signedBy('factory', {}, [new Uint8Array(32)])))

describe('decodeSignature()', () => {
  test('gives back what was encoded, within the bound', () => {
    fc.assert(
      fc.property(anySignature, (signature) => {
        const encoded = encodeSignature(signature)
        expect(encoded.byteLength).toBeLessThanOrEqual(SIGNATURE_BYTES_MAX)
        expect(decodeSignature(encoded)).toEqual(signature)
        expect(encoded.indexOf(0x0a)).toBe(encoded.byteLength - 1)
      }),
      { numRuns: runs(200) },
    )
  })

  test('holds one whose base is as long as a path, all of it escaped', () => {
    const longest = signedBy('factory', { base: '\u0001'.repeat(4096) }, Array(16).fill(new Uint8Array(32)))
    expect(decodeSignature(encodeSignature(longest))).toEqual(longest)
  })

  test('refuses fields that are missing, strange, of another form, or too many', () => {
    const wrong: Record<string, readonly unknown[]> = {
      version: [undefined, 2, '1'],
      catalog: [undefined, 'x', '0123456789abcdefv12.linux_amd64/', '0123456789ABCDEFv12.linux_amd64'],
      base: [undefined, '', 7, 'a'.repeat(4097), '\ud800'],
      sha256: [undefined, 'a'.repeat(32), 'A'.repeat(64)],
      pieceTable: [undefined, 'g'.repeat(64)],
      serial: [undefined, 0, -1, 1.5, '7', 2 ** 53],
      time: [undefined, 0, '2026-11-25', '1969-12-31T23:59:59.999Z', '2026-11-25T14:00:00.000+00:00'],
      role: [undefined, 'maker', 0],
      key: [undefined, 'factory', `${'x'.repeat(65)}:${'A'.repeat(43)}=`, `fac tory:${'A'.repeat(43)}=`, 'f:AAAA'],
      signature: [undefined, 'AAAA', `${'A'.repeat(85)}B==`, 7],
      memberTags: [undefined, 'AAAA', ['AAAA'], Array(17).fill(`${'A'.repeat(43)}=`), [7], {}],
      extra: [1],
    }
    for (const [field, values] of Object.entries(wrong)) {
      for (const value of values) {
        const changed = JSON.stringify({ ...JSON.parse(line), [field]: value })
        expect({ field, value, decoded: decodeSignature(bytes(changed)) }).toEqual({ field, value, decoded: undefined })
      }
    }
    for (const rubbish of ['', 'null', '[]', '7', '{}', line.slice(0, -3), `${line}x`, `[${'['.repeat(30_000)}`]) {
      expect(decodeSignature(bytes(rubbish))).toBeUndefined()
    }
    expect(decodeSignature(bytes(line + ' '.repeat(SIGNATURE_BYTES_MAX)))).toBeUndefined()
    expect(decodeSignature(Buffer.concat([bytes('\ufeff'), bytes(line)]))).toBeUndefined()
  })

  test('never throws, whatever the bytes', () => {
    const mutated = fc.tuple(fc.nat(line.length - 1), fc.nat(255)).map(([at, value]) => {
      const changed = bytes(line)
      changed[at] = value
      return changed
    })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.json().map(bytes), mutated), (input) => {
        const decoded = decodeSignature(input)
        if (decoded !== undefined) expect(decodeSignature(encodeSignature(decoded))).toEqual(decoded)
      }),
      { numRuns: runs(2000) },
    )
  })
})

describe('decodeSignatures()', () => {
  test('reads a .sig file, passing over what it does not know', () => {
    const signatures = [signedBy('factory'), signedBy('release'), signedBy('machine', { role: 'holder' })]
    const file = Buffer.concat([bytes('{"version":2}\n\n'), encodeSignatures(signatures), bytes('rubbish')])
    expect(decodeSignatures(signatureLines(file))).toEqual(signatures)
    expect(signatureLines(new Uint8Array())).toEqual([])
  })

  test('keeps the later word of a key, and looks at a bounded number of lines', () => {
    const [older, newer] = [signedBy('factory', { serial: 7 }), signedBy('factory', { serial: 8 })]
    for (const order of [
      [older, newer],
      [newer, older],
    ]) {
      expect(decodeSignatures(signatureLines(encodeSignatures(order)))).toEqual([newer])
    }
    const many = Array.from({ length: SIGNATURES_MAX + 5 }, (_, index) => encodeSignature(signedBy(`key${index}`)))
    expect(decodeSignatures(many)).toHaveLength(SIGNATURES_MAX)
    expect(signatureLines(Buffer.concat(many))).toHaveLength(SIGNATURES_MAX)
  })
})
