// Goal: a wait ends by what comes first, the promise or the signal, and leaves nothing behind.
import { describe, expect, test } from 'bun:test'
import { abortable } from '../../src/base/concurrency.ts'
import { failureOf } from '../support/failure-of.ts'

const reason = new Error('enough')

describe('abortable()', () => {
  test('gives what the promise gives, and fails as it fails', async () => {
    const { signal } = new AbortController()
    expect(await abortable(Promise.resolve(7), signal)).toBe(7)
    expect(await failureOf(abortable(Promise.reject(reason), signal))).toBe(reason)
  })

  test('ends with the signal, before or in the middle; the promise may fail afterwards', async () => {
    const stop = new AbortController()
    const { promise, reject } = Promise.withResolvers<never>()
    const waiting = failureOf(abortable(promise, stop.signal))
    stop.abort(reason)
    expect(await waiting).toBe(reason)
    expect(await failureOf(abortable(promise, stop.signal))).toBe(reason)
    reject(new Error('nobody waits'))
    await Bun.sleep(1)
  })

  // As at the end of an answer: it is through, and its connection closes in the same turn.
  test('gives what had come when the signal aborted in the same turn', async () => {
    const stop = new AbortController()
    const { promise, resolve } = Promise.withResolvers<number>()
    const waiting = abortable(promise, stop.signal)
    resolve(7)
    stop.abort(reason)
    expect(await waiting).toBe(7)
  })
})
