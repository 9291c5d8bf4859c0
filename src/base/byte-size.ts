/** Sizes as people write them. */

const UNIT_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  kb: 1_000,
  mb: 1_000_000,
  gb: 1_000_000_000,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
}

/**
 * Parse `500`, `50MB`, `1.5 GiB`: decimal units, and binary ones; in any case of letters.
 *
 * @returns bytes, or undefined where the text has another form, or means none
 */
export function parseByteSize(text: string): number | undefined {
  const match = /^(\d{1,12}(?:\.\d{1,6})?) ?([a-zA-Z]{0,3})$/.exec(text)
  const unit = UNIT_BYTES[match?.[2]?.toLowerCase() ?? 'none']
  const bytes = match === null || unit === undefined ? 0 : Math.round(Number(match[1]) * unit)
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined
}
