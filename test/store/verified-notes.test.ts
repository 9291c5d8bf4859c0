import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { STAMP_LENGTH } from '../../src/base/file-stamp.ts'
import { NOTES_BYTES_MAX } from '../../src/base/limits.ts'
import { type Digest, sha256Of } from '../../src/blob/digest.ts'
import type { BlobForm } from '../../src/blob/notes.ts'
import { VerifiedNotes } from '../../src/store/verified-notes.ts'
import { TemporaryDirectory } from '../support/golden.ts'
import { runs } from '../support/runs.ts'

const RECORD_BYTES = 72

function digestOf(index: number): Digest {
  const digest = sha256Of(Buffer.from(`${index}`))
  return (index % 5 === 0 ? digest.slice(0, 32) : digest) as Digest
}

function stampOf(seed: number): Uint32Array {
  return Uint32Array.from({ length: STAMP_LENGTH }, (_word, at) => Math.imul(seed + at, 2654435761) >>> 0)
}

function found(notes: VerifiedNotes, index: number): { form: BlobForm; stamp: Uint32Array } | undefined {
  const target = new Uint32Array(3 + STAMP_LENGTH)
  const form = notes.find(digestOf(index), target, 3)
  return form === undefined ? undefined : { form, stamp: target.slice(3) }
}

const notings = fc.array(
  fc.record({ index: fc.nat(40), seed: fc.nat(1000), form: fc.constantFrom<BlobForm>('identity', 'gzip') }),
  { maxLength: 120 },
)

describe('VerifiedNotes', () => {
  test('finds what was noted last, in this process and in the next', () => {
    using home = new TemporaryDirectory()
    let run = 0
    fc.assert(
      fc.property(notings, fc.nat(120), fc.boolean(), (list, cut, asksFirst) => {
        const path = join(home.path, `${run++}`)
        const first = new VerifiedNotes(path)
        // One that has read before it adds, and one that has not, keep the same.
        if (asksFirst) found(first, 0)
        const model = new Map<Digest, { form: BlobForm; stamp: Uint32Array }>()
        list.forEach(({ index, seed, form }, at) => {
          first.add(digestOf(index), form, Uint32Array.from([9, ...stampOf(seed)]), 1)
          model.set(digestOf(index), { form, stamp: stampOf(seed) })
          if (at === cut) first.flush()
        })
        first.flush()
        const next = new VerifiedNotes(path)
        for (let index = 0; index <= 40; index++) {
          expect(found(next, index)).toEqual(model.get(digestOf(index)) as never)
          if (asksFirst) expect(found(first, index)).toEqual(model.get(digestOf(index)) as never)
        }
      }),
      { numRuns: runs(60) },
    )
  })

  test('mends a file that ends within a record at the next flush, also with nothing to add, and loses no other note', () => {
    using home = new TemporaryDirectory()
    const path = join(home.path, 'notes')
    const first = new VerifiedNotes(path)
    for (let index = 0; index < 5; index++) first.add(digestOf(index), 'identity', stampOf(index), 0)
    first.flush()
    fs.truncateSync(path, 5 * RECORD_BYTES - 24)
    const second = new VerifiedNotes(path)
    expect(found(second, 1)?.stamp).toEqual(stampOf(1))
    second.flush()
    expect(fs.statSync(path).size).toBe(4 * RECORD_BYTES)
    const third = new VerifiedNotes(path)
    for (let index = 0; index < 5; index++) expect(found(third, index) !== undefined).toBe(index < 4)
  })

  // Goal: a note that was torn or altered is none; every other one stays. Never an error, never another stamp.
  test('passes over records that were altered, and finds the others', () => {
    using home = new TemporaryDirectory()
    const path = join(home.path, 'notes')
    const notes = new VerifiedNotes(path)
    for (let index = 0; index < 20; index++) notes.add(digestOf(index), 'identity', stampOf(index), 0)
    notes.flush()
    const whole = fs.readFileSync(path)
    fc.assert(
      fc.property(fc.nat(whole.byteLength - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const altered = Buffer.from(whole)
        altered[at] = (altered[at] ?? 0) ^ mask
        fs.writeFileSync(path, altered, { mode: 0o600 })
        const read = new VerifiedNotes(path)
        for (let index = 0; index < 20; index++) {
          const expected = Math.floor(at / RECORD_BYTES) === index ? undefined : stampOf(index)
          expect(found(read, index)?.stamp).toEqual(expected as never)
        }
      }),
      { numRuns: runs(300) },
    )
  })

  test('goes on after a crash in the middle of a write', () => {
    using home = new TemporaryDirectory()
    const path = join(home.path, 'notes')
    const first = new VerifiedNotes(path)
    first.add(digestOf(1), 'identity', stampOf(1), 0)
    first.flush()
    fs.appendFileSync(path, Buffer.alloc(RECORD_BYTES - 10, 7))
    const second = new VerifiedNotes(path)
    expect(found(second, 1)?.stamp).toEqual(stampOf(1))
    second.add(digestOf(2), 'gzip', stampOf(2), 0)
    second.flush()
    expect(found(new VerifiedNotes(path), 2)).toEqual({ form: 'gzip', stamp: stampOf(2) })
  })

  test('writes the file anew when most of it is old', () => {
    using home = new TemporaryDirectory()
    const path = join(home.path, 'notes')
    const notes = new VerifiedNotes(path)
    found(notes, 0)
    for (let round = 0; round < 500; round++) {
      for (let index = 0; index < 20; index++) notes.add(digestOf(index), 'identity', stampOf(round + index), 0)
    }
    notes.flush()
    expect(fs.statSync(path).size).toBe(20 * RECORD_BYTES)
    expect(found(new VerifiedNotes(path), 3)?.stamp).toEqual(stampOf(499 + 3))
  })

  test('begins anew beyond its bound, and keeps its file private', () => {
    using home = new TemporaryDirectory()
    const path = join(home.path, 'state', 'notes')
    const notes = new VerifiedNotes(path)
    notes.add(digestOf(1), 'identity', stampOf(1), 0)
    notes.flush()
    expect(fs.statSync(path).mode & 0o777).toBe(0o600)
    fs.truncateSync(path, NOTES_BYTES_MAX - (NOTES_BYTES_MAX % RECORD_BYTES))
    notes.add(digestOf(2), 'identity', stampOf(2), 0)
    notes.flush()
    expect(fs.statSync(path).size).toBe(RECORD_BYTES)
  })

  test('believes no file that others could have written, and fails at none', () => {
    using home = new TemporaryDirectory()
    const path = join(home.path, 'notes')
    const notes = new VerifiedNotes(path)
    notes.add(digestOf(1), 'identity', stampOf(1), 0)
    notes.flush()
    fs.chmodSync(path, 0o666)
    expect(found(new VerifiedNotes(path), 1)).toBeUndefined()
    fs.rmSync(path)
    fs.mkdirSync(path)
    const blocked = new VerifiedNotes(path)
    expect(found(blocked, 1)).toBeUndefined()
    blocked.add(digestOf(1), 'identity', stampOf(1), 0)
    blocked.flush()
  })
})
