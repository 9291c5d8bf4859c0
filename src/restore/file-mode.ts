/** What a restored entry has to look like: rcc's fixed time, and modes out of Go's FileMode (formats.md §5, §9). */
import { GO_SETGID, GO_SETUID, GO_STICKY } from '../catalog/go-mode.ts'

/** 2021-01-07T06:13:20Z, in seconds: atime and mtime of every restored file. */
export const RESTORED_TIME_S = 1_610_000_000
export const RESTORED_TIME_MS = RESTORED_TIME_S * 1000

/** The twelve mode bits of chmod(2). @param goMode Go FileMode, as recorded */
export function unixMode(goMode: number): number {
  const special =
    ((goMode & GO_SETUID) === 0 ? 0 : 0o4000) |
    ((goMode & GO_SETGID) === 0 ? 0 : 0o2000) |
    ((goMode & GO_STICKY) === 0 ? 0 : 0o1000)
  return (goMode & 0o777) | special
}

/** Modes of blobs that no space depends on yet: those that rcc and we give them. */
export const UNUSED_MODES: readonly number[] = [0o644, 0o666]
