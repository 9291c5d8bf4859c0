/** What kept a strategy from doing better, in sentences for people. Pure. */
import type { RestoreReport } from './report.ts'

/** What was in the way; codes are of system errors (`EXDEV`) that the whole pair of library and space answered with. */
export interface Obstacles {
  readonly reflink: string | undefined
  readonly link: string | undefined
  /** Files decoded from gzip blobs that could be raw: their content does not begin like gzip itself. */
  readonly couldBeRaw: number
}

/** @param library directory of the blobs @param base directory of the spaces */
export function strategyLimits(
  { strategy, methods }: RestoreReport,
  { reflink, link, couldBeRaw }: Obstacles,
  { library, base }: { readonly library: string; readonly base: string },
): string[] {
  const limits: string[] = []
  const links = strategy === 'hardlink' || strategy === 'smart'
  if (links && link === 'EXDEV')
    limits.push(`library and space are on different file systems or mounts: ${library}, ${base}`)
  else if (links && link !== undefined) limits.push(`${base} takes no hard links to ${library} (${link})`)
  if (methods.copied.files + methods.written.files > 0 && reflink !== undefined) {
    if (reflink !== 'EXDEV') limits.push(`the file system of ${base} cannot share blocks (${reflink})`)
    else if (!links) limits.push(`library and space are on different file systems or mounts: ${library}, ${base}`)
  }
  if (couldBeRaw > 0) {
    limits.push(`${couldBeRaw} files were decoded from gzip blobs: "holo-peer optimize" makes them raw`)
  }
  return limits
}
