import { describe, expect, test } from 'bun:test'
import { type OrderedEntry, OrderedSupply } from '../../src/app/ordered-supply.ts'
import { WanTurns } from '../../src/app/wan-turns.ts'
import type { WanPlace } from '../../src/app/wan-visit.ts'
import { never } from '../../src/base/clock.ts'
import { HoloError } from '../../src/base/errors.ts'
import { emptyTotals } from '../../src/blob/fetch-all.ts'
import { madeEnvironment } from '../support/made-environment.ts'
import { ManualClock } from '../support/manual-clock.ts'

const { verified } = madeEnvironment({ file: 'x' })
const trust = { allowRollback: false }
const failing = (blame: HoloError['blame'], code = 'source-status') => new HoloError(`it is ${blame}`, { code, blame })

/** A machine without a fleet. */
const nobodyElse = new WanTurns(async () => undefined, {} as WanPlace)

interface Script {
  readonly afterMs?: number
  readonly fails?: HoloError
  /** Blobs that it brings every 100 ms before it ends or fails. */
  readonly blobs?: number
}

/** An entry that does as it is told, on the test's clock. */
function entry(label: string, clock: ManualClock, script: Script, asked: string[]): OrderedEntry {
  const play = async (signal: AbortSignal, onBlob: () => void): Promise<void> => {
    asked.push(`${label}@${clock.nowMs()}`)
    for (let blob = 0; blob < (script.blobs ?? 0); blob++) {
      await clock.sleep(100, signal)
      onBlob()
    }
    await clock.sleep(script.afterMs ?? 0, signal)
    if (script.fails !== undefined) throw script.fails
  }
  let slow = false
  return {
    label,
    wan: 'never',
    budgetMs: () => (slow ? 0 : 400),
    silenceMs: 700,
    wasSlow: () => {
      slow = true
      asked.push(`${label} was slow`)
    },
    refresh: () => {},
    condition: () => undefined,
    find: async (_name, _local, _trust, signal) => {
      await play(signal, () => {})
      return { catalog: { ...verified, source: label }, warnings: [] }
    },
    fetch: ({ totals, onProgress }, signal) =>
      play(signal, () => {
        totals.blobs++
        totals.wireBytes += 10
        totals.bySource.set(label, (totals.bySource.get(label) ?? 0) + 1)
        onProgress(totals, script.blobs ?? 0)
      }),
    [Symbol.asyncDispose]: async () => {},
  }
}

function supplyOf(scripts: Readonly<Record<string, Script>>) {
  const clock = new ManualClock()
  const asked: string[] = []
  const entries = Object.entries(scripts).map(([label, script]) => entry(label, clock, script, asked))
  return { clock, asked, supply: new OrderedSupply(entries, nobodyElse, clock) }
}

async function after<Value>(clock: ManualClock, promise: Promise<Value>): Promise<Value> {
  promise.catch(() => {})
  await clock.advance(100_000)
  return promise
}

async function failureOf(promise: Promise<unknown>): Promise<HoloError> {
  try {
    await promise
  } catch (error) {
    if (error instanceof HoloError) return error
    throw error
  }
  throw new Error('no error was thrown')
}

describe('OrderedSupply', () => {
  test('find() passes over who fails, and does not wait for who is silent', async () => {
    const { clock, asked, supply } = supplyOf({
      peers: { fails: failing('missing') },
      dead: { afterMs: 60_000 },
      mirror: { afterMs: 10 },
    })
    const found = await after(clock, supply.find(verified.name, undefined, trust, never))
    expect(found.catalog.source).toBe('mirror')
    expect(asked).toEqual(['peers@0', 'dead@0', 'mirror@400', 'dead was slow'])
  })

  test('find() says of all what they said, and of trust before all else', async () => {
    const nobody = supplyOf({ peers: { fails: failing('missing') }, mirror: { fails: failing('source') } })
    const nowhere = await failureOf(after(nobody.clock, nobody.supply.find(verified.name, undefined, trust, never)))
    expect([nowhere.blame, nowhere.code]).toEqual(['missing', 'environment-nowhere'])
    expect(nowhere.message).toContain('mirror: it is source')
    const distrusted = supplyOf({
      mirror: { fails: failing('trust', 'catalog-unsigned') },
      other: { fails: failing('source') },
    })
    const untrusted = await failureOf(
      after(distrusted.clock, distrusted.supply.find(verified.name, undefined, trust, never)),
    )
    expect([untrusted.blame, untrusted.code]).toEqual(['trust', 'catalog-unsigned'])
    const alone = supplyOf({ peers: { fails: failing('missing', 'no-peer') } })
    const own = await failureOf(after(alone.clock, alone.supply.find(verified.name, undefined, trust, never)))
    expect(own.code).toBe('no-peer')
  })

  test('fetch() goes on with the next where one lacks something, and counts both', async () => {
    const { clock, asked, supply } = supplyOf({ peers: { blobs: 3, fails: failing('missing') }, mirror: { blobs: 2 } })
    const totals = emptyTotals()
    const seen: number[] = []
    await after(
      clock,
      supply.fetch(verified, totals, ({ blobs }) => seen.push(blobs), never),
    )
    expect(asked).toEqual(['peers@0', 'mirror@300'])
    expect([totals.blobs, totals.wireBytes, Object.fromEntries(totals.bySource)]).toEqual([
      5,
      50,
      { peers: 3, mirror: 2 },
    ])
    expect(seen).toEqual([1, 2, 3, 4, 5])
  })

  test('fetch() asks the next one too where nothing comes any more, and not while something does', async () => {
    const busy = supplyOf({ peers: { blobs: 30 }, mirror: {} })
    await after(
      busy.clock,
      busy.supply.fetch(verified, emptyTotals(), () => {}, never),
    )
    expect(busy.asked).toEqual(['peers@0'])
    const stuck = supplyOf({ peers: { blobs: 3, afterMs: 60_000 }, mirror: { blobs: 1 } })
    const totals = emptyTotals()
    await after(
      stuck.clock,
      stuck.supply.fetch(verified, totals, () => {}, never),
    )
    // What has come by 700 ms is noticed then; 700 ms later nothing more has.
    expect(stuck.asked).toEqual(['peers@0', 'mirror@1400', 'peers was slow'])
    expect(totals.blobs).toBe(4)
  })

  test('fetch() asks last who was silent when the catalog was looked for', async () => {
    const { clock, asked, supply } = supplyOf({ dead: { afterMs: 60_000 }, mirror: { blobs: 2 } })
    await after(clock, supply.find(verified.name, undefined, trust, never))
    asked.length = 0
    const startedMs = clock.nowMs()
    await after(
      clock,
      supply.fetch(verified, emptyTotals(), () => {}, never),
    )
    expect(asked).toEqual([`mirror@${startedMs}`])
  })

  test('fetch() ends at once with what is wrong with this machine', async () => {
    const full = supplyOf({ peers: { blobs: 1, fails: failing('host', 'disk-full') }, mirror: { blobs: 1 } })
    const error = await failureOf(
      after(
        full.clock,
        full.supply.fetch(verified, emptyTotals(), () => {}, never),
      ),
    )
    expect(error.code).toBe('disk-full')
    expect(full.asked).toEqual(['peers@0'])
  })
})
