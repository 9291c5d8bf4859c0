/** The part of an answer that a client asks for (RFC 9110, section 14), pure. */

/** Bytes `from` up to, and not including, `end`. */
export interface ByteRange {
  readonly from: number
  readonly end: number
}

/**
 * @param header text of `Range`
 * @param sizeBytes of the whole
 * @returns `whole` where the header is absent, malformed, or asks for several parts, which servers may ignore;
 *   `unsatisfiable` where nothing of what it asks for exists
 */
export function parseByteRange(header: string | undefined, sizeBytes: number): ByteRange | 'whole' | 'unsatisfiable' {
  const match = /^bytes=(?:(\d{1,15})-(\d{1,15})?|-(\d{1,15}))$/.exec((header ?? '').replaceAll(' ', ''))
  if (match === null) return 'whole'
  const [, first, last, suffix] = match
  if (suffix !== undefined) {
    const count = Math.min(Number(suffix), sizeBytes)
    return count === 0 ? 'unsatisfiable' : { from: sizeBytes - count, end: sizeBytes }
  }
  const from = Number(first)
  const end = last === undefined ? sizeBytes : Math.min(Number(last) + 1, sizeBytes)
  if (last !== undefined && Number(last) < from) return 'whole'
  return from >= sizeBytes ? 'unsatisfiable' : { from, end }
}
