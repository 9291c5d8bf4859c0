/** Sizes and rates as people write them. */

const UNIT_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
  bit: 1 / 8,
  kbit: 1e3 / 8,
  Mbit: 1e6 / 8,
  Gbit: 1e9 / 8,
}

const QUANTITY = /^(\d{1,12}(?:\.\d{1,3})?) ?([A-Za-z]{1,4})$/

/**
 * Parse `512 MiB`, `1.5 GB`, `200kB`.
 *
 * @returns bytes, at least 1; undefined where the text has another form
 */
export function parseSize(text: string): number | undefined {
  const bytes = quantity(text)
  return text.endsWith('bit') ? undefined : bytes
}

/**
 * Parse `50 MB/s`, `100 Mbit/s`, `1.5 MiB/s`.
 *
 * @returns bytes a second, at least 1; undefined where the text has another form
 */
export function parseRate(text: string): number | undefined {
  return text.endsWith('/s') ? quantity(text.slice(0, -2)) : undefined
}

function quantity(text: string): number | undefined {
  const match = QUANTITY.exec(text)
  const unit = UNIT_BYTES[match?.[2] ?? '']
  if (match === null || unit === undefined) return undefined
  const bytes = Math.floor(Number(match[1]) * unit)
  return bytes >= 1 && Number.isSafeInteger(bytes) ? bytes : undefined
}
