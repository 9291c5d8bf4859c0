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
    ['{"a" 1}', (reader) => reader.object(9, () => reader.unsigned()), 5],
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
