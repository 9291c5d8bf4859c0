/** How a fetch is shown while it runs, and what it did, whatever the command. */
import type { FetchOutcome } from '../app/fetch.ts'
import { counted, humanBytes, humanMs, type Output } from './output.ts'

type FetchTotals = FetchOutcome['fetched']

/** @returns what is to be called with the totals so far, and the number of blobs there will be */
export function fetchProgress(out: Output): (totals: FetchTotals, blobs: number) => void {
  const startedMs = performance.now()
  return (totals, blobs) => {
    void out.progress(() => {
      const seconds = Math.max((performance.now() - startedMs) / 1000, 0.001)
      const rate = `${humanBytes(totals.wireBytes / seconds)}/s`
      const sources = counted(totals.bySource.size, 'source')
      const detail = `${humanBytes(totals.wireBytes)}, ${rate}, ${sources}`
      return { doing: 'fetching', done: totals.blobs, total: blobs, detail }
    })
  }
}

export function fetchedJson({ blobs, blobBytes, wireBytes, firstByteMs, bySource, dropped }: FetchTotals) {
  return {
    blobs,
    blobBytes,
    wireBytes,
    firstByteMs: firstByteMs ?? null,
    bySource: Object.fromEntries(bySource),
    dropped: [...dropped].map(([source, error]) => ({ source, code: error.code, message: error.message })),
  }
}

/** @param ms that the fetch took */
export function fetchedLines({ blobs, blobBytes, wireBytes, bySource }: FetchTotals, ms: number): string[] {
  if (blobs === 0) return ['  fetched  nothing: every blob was in the library']
  const lines = [
    `  fetched  ${counted(blobs, 'blob')}, ${humanBytes(blobBytes)} (${humanBytes(wireBytes)} on the wire) in ${humanMs(ms)}`,
  ]
  for (const [source, some] of [...bySource].sort((left, right) => right[1] - left[1]))
    lines.push(`           ${counted(some, 'blob')} from ${source}`)
  return lines
}
