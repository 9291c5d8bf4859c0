/**
 * What every substituter has to do, whatever it is: one suite, run against each, with the faults of bad servers and bad
 * networks in between where it is reached by HTTP.
 */
import { describe, expect, type test } from 'bun:test'
import { never, systemClock } from '../../src/base/clock.ts'
import { HoloError } from '../../src/base/errors.ts'
import { systemRandom } from '../../src/base/random.ts'
import { parseSourceAddress } from '../../src/blob/source-address.ts'
import { openPushTarget, type SourceTerms, type SubstituterAddress } from '../../src/substituters/open-substituter.ts'
import type { Substituter } from '../../src/substituters/substituter.ts'
import type { Fault, FaultProxy, ProxiedRequest } from '../support/fault-proxy.ts'
import { FetchingLibrary } from '../support/fetching-library.ts'
import { TemporaryDirectory } from '../support/golden.ts'
import { type MadeEnvironment, madeEnvironment, variousFiles } from '../support/made-environment.ts'

export const SECRET = 'robot:s3cret-that-nobody-sees'

/** Short, so that the suite is. */
export const TERMS: SourceTerms = { timeoutMs: 2_000, connectTimeoutMs: 500, retries: 2 }
export const AROUND = { clock: systemClock, random: systemRandom, environment: { SECRET } }

/** One place that holds `environment` (and not `absent`), opened as a substituter. */
export interface OpenedPlace extends AsyncDisposable {
  readonly substituter: Substituter
  /** What stands between, for places that are reached by HTTP. */
  readonly proxy: FaultProxy | undefined
}

export const environment: MadeEnvironment = madeEnvironment(variousFiles())
export const absent: MadeEnvironment = madeEnvironment({ other: 'it is not there' }, 'fedcba9876543210')

export function addressOf(text: string): SubstituterAddress {
  const address = parseSourceAddress(text)
  if (typeof address === 'string' || address.kind === 'peers') throw new Error(`${text} ${JSON.stringify(address)}`)
  return address
}

let pushed: Promise<TemporaryDirectory> | undefined

/** A directory to copy from, with `environment` pushed to it; it lasts as long as this process. */
export function pushedTree(): Promise<TemporaryDirectory> {
  const push = async () => {
    const folder = new TemporaryDirectory()
    const spool = new TemporaryDirectory()
    await using target = openPushTarget(addressOf(`file://${folder.path}`), TERMS, AROUND)
    await target.push(environment, { dryRun: false, spool: spool.path, onProgress: () => {} }, never)
    spool[Symbol.dispose]()
    process.once('exit', () => folder[Symbol.dispose]())
    return folder
  }
  pushed ??= push()
  return pushed
}

export interface Conformance {
  readonly name: string
  /** `test`, or a way to skip aloud. */
  readonly test: typeof test
  open(): Promise<OpenedPlace>
  /** Requests for bulk: the pack, the delta. Others are for catalogs and single things. */
  isBulk(request: ProxiedRequest): boolean
}

/** What a promise was rejected with, where that is an error for people. */
export async function failure(work: Promise<unknown>): Promise<HoloError> {
  try {
    await work
  } catch (error) {
    if (error instanceof HoloError) return error
    throw error
  }
  throw new Error('no error was thrown')
}

/** Fetch all of `environment`, twice at most where the first time may fail. @returns what the first failure was */
async function fetchedWhole(substituter: Substituter, mayFail = false): Promise<HoloError | undefined> {
  await using library = new FetchingLibrary(environment)
  let failed: HoloError | undefined
  try {
    await library.fetch(substituter)
  } catch (error) {
    if (!mayFail || !(error instanceof HoloError) || error.blame !== 'source') throw error
    failed = error
    await library.fetch(substituter)
  }
  expect([library.held.length, await library.wrong()]).toEqual([environment.refs.length, []])
  return failed
}

/** What everybody does who is up and well. */
export function conforms(place: Conformance): void {
  describe(`${place.name} as a substituter`, () => {
    place.test('finds a catalog byte for byte, and misses one that is not there', async () => {
      await using opened = await place.open()
      const found = await opened.substituter.find(environment.name, never)
      expect(Buffer.compare(found?.stored ?? Buffer.alloc(0), environment.stored)).toBe(0)
      expect(await opened.substituter.find(absent.name, never)).toBeUndefined()
    })

    place.test('brings every blob, of any size', async () => {
      await using opened = await place.open()
      await fetchedWhole(opened.substituter)
    })

    place.test('brings what lacks, where most is there', async () => {
      await using opened = await place.open()
      await using library = new FetchingLibrary(environment)
      await library.add(environment.refs.slice(20))
      await library.fetch(opened.substituter)
      expect(library.held.length).toBe(environment.refs.length)
    })

    place.test('says that blobs are missing, and brings the others', async () => {
      await using opened = await place.open()
      await using library = new FetchingLibrary(environment)
      const wanted = [...environment.refs.slice(0, 3), ...absent.refs]
      const error = await failure(library.fetch(opened.substituter, wanted))
      expect([error.blame, error.code]).toEqual(['missing', 'blob-nowhere'])
      // A piece brings others along.
      expect(library.held).toEqual(expect.arrayContaining(wanted.slice(0, 3)))
    })

    place.test('ends with the reason of its signal', async () => {
      await using opened = await place.open()
      const stop = new AbortController()
      const reason = new Error('Ctrl-C')
      stop.abort(reason)
      const { substituter } = opened
      expect(substituter.find(environment.name, stop.signal)).rejects.toBe(reason)
    })
  })
}

/** What everybody does who is reached by HTTP. */
export function conformsUnderFaults(place: Conformance): void {
  const withFault = async (
    fault: (request: ProxiedRequest) => Fault | undefined,
    work: (substituter: Substituter, proxy: FaultProxy) => Promise<void>,
  ): Promise<void> => {
    await using opened = await place.open()
    const { substituter, proxy } = opened
    if (proxy === undefined) throw new Error('this place has no proxy')
    proxy.fault = fault
    await work(substituter, proxy)
  }

  describe(`${place.name} as a substituter, badly served`, () => {
    place.test('gets through where every third answer is a 500, and closed connections between', async () => {
      const bad = (request: ProxiedRequest): Fault | undefined => {
        if (request.number % 3 !== 0) return undefined
        return request.number % 2 === 0 ? { kind: 'close' } : { kind: 'answer', status: 500 }
      }
      await withFault(bad, async (substituter) => {
        expect((await substituter.find(environment.name, never))?.stored.byteLength).toBe(environment.stored.byteLength)
        await fetchedWhole(substituter)
      })
    })

    place.test('waits as long as a 429 asks for, and no longer than is bearable', async () => {
      let refused = 0
      const busy = (): Fault | undefined =>
        refused++ === 0 ? { kind: 'answer', status: 429, headers: { 'retry-after': '0' } } : undefined
      await withFault(busy, async (substituter) => {
        expect(await substituter.find(environment.name, never)).toBeDefined()
      })
      const patient = (): Fault => ({ kind: 'answer', status: 503, headers: { 'retry-after': '3600' } })
      await withFault(patient, async (substituter, proxy) => {
        const error = await failure(substituter.find(environment.name, never))
        expect(error.blame).toBe('source')
        // Each thing was asked for once.
        expect(new Set(proxy.requests.map(({ path }) => path)).size).toBe(proxy.requests.length)
      })
    })

    place.test('goes on, or fails, where bulk breaks off in the middle; and no wrong blob comes of it', async () => {
      let cuts = 0
      const cut = (request: ProxiedRequest): Fault | undefined =>
        place.isBulk(request) && cuts++ < 2 ? { kind: 'cut', afterBytes: 70_000 } : undefined
      await withFault(cut, async (substituter) => {
        await fetchedWhole(substituter, true)
      })
    })

    place.test('fails, and blames the source, where everything breaks off', async () => {
      await withFault(
        () => ({ kind: 'cut', afterBytes: 10 }),
        async (substituter) => {
          expect((await failure(substituter.find(environment.name, never))).blame).toBe('source')
        },
      )
    })

    place.test('is told as a liar where bytes are wrong, and nothing wrong comes to rest', async () => {
      const lie = (request: ProxiedRequest): Fault | undefined =>
        place.isBulk(request) ? { kind: 'wrong' } : undefined
      await withFault(lie, async (substituter) => {
        await using library = new FetchingLibrary(environment)
        try {
          // An index that lies is passed over, and the blobs are fetched one by one.
          await library.fetch(substituter)
          expect(library.held.length).toBe(environment.refs.length)
        } catch (error) {
          // Where blobs lie in packs only, a pack that is refused leaves nothing.
          expect(['source', 'missing']).toContain((error as HoloError).blame)
        }
        expect(await library.wrong()).toEqual([])
      })
    })

    place.test('is given up where it sends a byte now and then, or nothing', async () => {
      const startedMs = performance.now()
      await withFault(
        () => ({ kind: 'trickle', everyMs: 100 }),
        async (substituter) => {
          expect((await failure(substituter.find(environment.name, never))).blame).toBe('source')
        },
      )
      await withFault(
        () => ({ kind: 'silent' }),
        async (substituter) => {
          const error = await failure(substituter.find(environment.name, never))
          expect([error.blame, error.code]).toEqual(['source', 'source-silent'])
        },
      )
      // Whatever the machine does beside: bounded by its own time-outs, not by the test's patience.
      expect(performance.now() - startedMs).toBeLessThan(30_000)
    })

    place.test('follows redirects, and its credentials stay at home', async () => {
      await using elsewhere = await place.open()
      const { proxy: other } = elsewhere
      if (other === undefined) throw new Error('this place has no proxy')
      const away = ({ method, path }: ProxiedRequest): Fault | undefined =>
        method === 'GET'
          ? { kind: 'answer', status: 307, headers: { location: new URL(path, other.url).href } }
          : undefined
      await withFault(away, async (substituter, proxy) => {
        await substituter.find(environment.name, never).catch(() => {})
        expect(proxy.requests.length).toBeGreaterThan(0)
        expect(other.requests.length).toBeGreaterThan(0)
        for (const { headers } of other.requests) expect(headers.authorization).toBeUndefined()
      })
    })

    place.test('follows no redirect without end, nor out of HTTP', async () => {
      for (const location of ['/again', 'file:///etc/passwd', 'ftp://127.0.0.1/x', '']) {
        await withFault(
          () => ({ kind: 'answer', status: 302, headers: { location } }),
          async (substituter, proxy) => {
            const error = await failure(substituter.find(environment.name, never))
            expect(error.blame).toBe('source')
            expect(proxy.requests.length).toBeLessThan(40)
          },
        )
      }
    })

    place.test('says that credentials are refused, and never what they are', async () => {
      for (const status of [401, 403]) {
        await withFault(
          () => ({ kind: 'answer', status }),
          async (substituter) => {
            const error = await failure(substituter.find(environment.name, never))
            expect([error.blame, error.code]).toEqual(['source', 'source-refused'])
            expect(JSON.stringify([error.message, error.hint, error.stack])).not.toContain('s3cret')
          },
        )
      }
    })

    place.test('does not mind a server whose clock is years off', async () => {
      const off = (): Fault => ({ kind: 'headers', headers: { date: 'Mon, 01 Jan 2001 00:00:00 GMT' } })
      await withFault(off, async (substituter) => {
        expect(await substituter.find(environment.name, never)).toBeDefined()
        await fetchedWhole(substituter)
      })
    })
  })
}
