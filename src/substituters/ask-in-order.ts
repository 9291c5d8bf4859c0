/**
 * Ask sources one after the other, without letting a silent one hold up the rest.
 *
 * The next source is asked when the one before it has missed, failed, or been silent for too long; then both are
 * under way, and the first answer counts. So a dead source costs that time, and a slow one still wins where nobody else
 * has what is asked for.
 */
import { HoloError } from '../base/errors.ts'

export interface OrderedAnswer<Source, Answer> {
  /** Undefined where every source missed or failed. */
  readonly answer: { readonly source: Source; readonly value: Answer } | undefined
  /** What failed, in the order of failing. */
  readonly failures: readonly { readonly source: Source; readonly error: HoloError }[]
  /** Who was silent for too long, and still was when another one answered. */
  readonly silent: readonly Source[]
}

export interface Questions<Source, Answer> {
  /** The question; its signal aborts once another source has answered. */
  ask(source: Source, signal: AbortSignal): Promise<Answer | undefined>
  /** Resolves when the source has been silent for so long that the next one is asked, too. @throws `signal.reason` */
  silence(source: Source, signal: AbortSignal): Promise<void>
}

/**
 * @throws what `ask` throws, unless it is a HoloError that blames `source`, `missing` or `trust`
 * @throws `signal.reason` once `signal` aborts
 */
export async function askInOrder<Source, Answer>(
  sources: readonly Source[],
  { ask, silence }: Questions<Source, Answer>,
  signal: AbortSignal,
): Promise<OrderedAnswer<Source, Answer>> {
  signal.throwIfAborted()
  const won = new AbortController()
  const asking = AbortSignal.any([won.signal, signal])
  const failures: { source: Source; error: HoloError }[] = []
  const silent = new Set<Source>()
  const { promise, resolve, reject } = Promise.withResolvers<OrderedAnswer<Source, Answer>['answer']>()
  const lanes: Promise<void>[] = []
  let next = 0
  let underWay = 0
  let answered = false

  const startNext = (): void => {
    const source = sources[next]
    if (source === undefined) {
      if (underWay === 0) resolve(undefined)
      return
    }
    next++
    underWay++
    lanes.push(lane(source))
  }
  const lane = async (source: Source): Promise<void> => {
    let passed = false
    const passOn = () => {
      if (passed || answered || asking.aborted) return
      passed = true
      startNext()
    }
    const over = new AbortController()
    const budget = silence(source, AbortSignal.any([over.signal, asking])).then(
      () => {
        silent.add(source)
        passOn()
      },
      () => {},
    )
    try {
      const value = await ask(source, asking)
      silent.delete(source)
      if (value !== undefined) {
        answered = true
        resolve({ source, value })
      }
    } catch (error) {
      if (asking.aborted) return
      silent.delete(source)
      if (!(error instanceof HoloError) || !['source', 'missing', 'trust'].includes(error.blame)) reject(error)
      else failures.push({ source, error })
    } finally {
      underWay--
      over.abort(new Error('it has answered'))
      await budget
      passOn()
      if (underWay === 0 && next >= sources.length) resolve(undefined)
    }
  }

  startNext()
  const onAbort = () => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    const answer = await promise
    return { answer, failures, silent: answer === undefined ? [] : [...silent] }
  } finally {
    signal.removeEventListener('abort', onAbort)
    won.abort(new Error('another source has answered'))
  }
}
