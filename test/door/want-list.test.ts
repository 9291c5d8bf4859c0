import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { DOOR_WANT_LINE_BYTES_MAX } from '../../src/base/door-limits.ts'
import { lastElement, wantedLines } from '../../src/door/want-list.ts'
import { runs } from '../support/runs.ts'

async function linesOf(chunks: readonly Uint8Array[]): Promise<string[]> {
  async function* body() {
    yield* chunks
  }
  return (await Array.fromAsync(wantedLines(body()))).flat()
}

// Goal: how the network cuts a body changes nothing. Method: any text, cut anywhere, against the text split at once.
test('wantedLines() gives the lines of a body however it is cut', async () => {
  const text = fc.array(fc.stringMatching(/^[ \ta-f0-9/.]{0,80}$/), { maxLength: 30 }).map((lines) => lines.join('\n'))
  await fc.assert(
    fc.asyncProperty(text, fc.array(fc.nat(2000), { maxLength: 10 }), async (body, cuts) => {
      const bytes = Buffer.from(body)
      const places = [0, ...cuts.filter((cut) => cut <= bytes.byteLength).sort((a, b) => a - b), bytes.byteLength]
      const chunks = places.slice(1).map((end, index) => bytes.subarray(places[index], end))
      const expected = body.split('\n').map((line) => line.trim())
      expect(await linesOf(chunks)).toEqual(expected.filter((line) => line !== ''))
    }),
    { numRuns: runs(200) },
  )
})

test('wantedLines() passes over a line that is too long, in one piece or in many, and keeps little of it', async () => {
  const long = Buffer.alloc(DOOR_WANT_LINE_BYTES_MAX + 1, 'a')
  const next = Buffer.from('\nnext\n')
  expect(await linesOf([Buffer.concat([long, next])])).toEqual(['next'])
  expect(await linesOf([long, long, next, long])).toEqual(['next'])
  const pieces = Array.from({ length: 1000 }, () => Buffer.alloc(100, 'a'))
  expect(await linesOf([...pieces, next])).toEqual(['next'])
})

test('wantedLines() passes on what its body throws', async () => {
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('one\ntw')
    throw new Error('cut off')
  }
  expect(Array.fromAsync(wantedLines(broken()))).rejects.toThrow('cut off')
})

test('lastElement() is what stands behind the last slash', () => {
  expect(['a/b/c', '../../../etc/passwd', 'plain', ''].map(lastElement)).toEqual(['c', 'passwd', 'plain', ''])
})
