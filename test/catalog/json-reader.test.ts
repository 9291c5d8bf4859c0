import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { JsonReader, JsonSyntaxError } from '../../src/catalog/json-reader.ts'
import { numRuns } from './support.ts'

const readerOf = (text: string) => new JsonReader(new TextEncoder().encode(text))

test('JsonReader.string() reads every string that JSON.stringify writes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.boolean(), (text, ascii) => {
      const literal = JSON.stringify(text)
      const escaped = literal.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      const reader = readerOf(` ${ascii ? escaped : literal}\n`)
      expect(reader.string(1000)).toBe(text.toWellFormed())
      reader.end()
    }),
    { numRuns: numRuns(500) },
  )
})

test('JsonReader.skip() passes over any value and stands behind it', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const reader = readerOf(`[${JSON.stringify(value, null, 1)} , 7]`)
      const seen: number[] = []
      let index = 0
      reader.array(() => {
        if (index++ === 0) reader.skip(32)
        else seen.push(reader.unsigned())
      })
      reader.end()
      expect(seen).toEqual([7])
    }),
    { numRuns: numRuns(300) },
  )
})

test('JsonReader.string() holds a text against its bound in UTF-8 bytes', () => {
  expect(readerOf('"ééé"').string(6)).toBe('ééé')
  expect(readerOf('"\\u00e9"').string(2)).toBe('é')
  for (const [text, bytesMax] of [
    ['"ééé"', 5],
    ['"abc"', 2],
    ['"\\u00e9"', 1],
  ] as const) {
    expect(() => readerOf(text).string(bytesMax)).toThrow(JsonSyntaxError)
  }
})

test('JsonReader refuses what is not JSON, with the offset of the mistake', () => {
  const reads: [text: string, read: (reader: JsonReader) => unknown, offset: number][] = [
    ['"a\nb"', (reader) => reader.string(9), 2],
    ['"abc', (reader) => reader.string(9), 4],
    ['"\\', (reader) => reader.string(9), 3],
    ['"\\x"', (reader) => reader.string(9), 1],
    ['012', (reader) => reader.unsigned(), 0],
    ['9007199254740992', (reader) => reader.unsigned(), 0],
    ['  tru', (reader) => reader.boolean(), 2],
    ['[1 2]', (reader) => reader.array(() => reader.unsigned()), 3],
    ['{"a" 1}', (reader) => reader.object(9, 'few', () => reader.unsigned()), 5],
    ['[1,]', (reader) => reader.array(() => reader.unsigned()), 3],
    ['{,}', (reader) => reader.skip(3), 1],
    ['1-', (reader) => reader.skip(3), 0],
  ]
  for (const [text, read, offset] of reads) {
    try {
      read(readerOf(text))
      throw new Error(`nothing was thrown for ${text}`)
    } catch (error) {
      expect(error).toBeInstanceOf(JsonSyntaxError)
      expect([text, (error as JsonSyntaxError).offset]).toEqual([text, offset])
    }
  }
})

test('JsonReader.object() gives the keys of a schema and names alike, whatever they are', () => {
  const key = fc.oneof(
    fc.constantFrom('name', 'mode', 'size', 'nama', 'n', ''),
    fc.string({ unit: 'binary', maxLength: 4 }),
  )
  fc.assert(
    fc.property(fc.array(key, { maxLength: 20 }), fc.boolean(), (keys, escaped) => {
      const literals = keys.map((each) => {
        const literal = JSON.stringify(each.toWellFormed())
        return escaped ? literal.replace('a', '\\u0061') : literal
      })
      for (const kind of ['few', 'any'] as const) {
        const reader = readerOf(`{${literals.map((literal) => `${literal} : 1`).join(' ,\n')}}`)
        const seen: string[] = []
        reader.object(64, kind, (each) => {
          seen.push(each)
          reader.unsigned()
        })
        reader.end()
        expect(seen).toEqual(keys.map((each) => each.toWellFormed()))
      }
    }),
    { numRuns: numRuns(300) },
  )
})

test('JsonReader.object() holds keys against their bound also where it has read them before', () => {
  const reader = readerOf('[{"name":1},{"name":2}]')
  let most = 4
  const read = () => reader.array(() => reader.object(most--, 'few', () => reader.unsigned()))
  expect(read).toThrow('longer than 3 bytes')
})

test('JsonReader.acceptString() takes a text only where it stands letter by letter', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), fc.boolean(), (text, other, same) => {
      const reader = readerOf(` ${JSON.stringify(same ? text : other)} `)
      const taken = reader.acceptString(text)
      if (taken) expect(same || text === other).toBe(true)
      else expect(reader.string(1000)).toBe((same ? text : other).toWellFormed())
      reader.end()
    }),
    { numRuns: numRuns(500) },
  )
  expect(readerOf('"abc"').acceptString('abc')).toBe(true)
  expect(readerOf('"abcd"').acceptString('abc')).toBe(false)
  expect(readerOf('7').acceptString('')).toBe(false)
})
