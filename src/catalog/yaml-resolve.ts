/**
 * What an unquoted YAML scalar means to Go's yaml.v2 2.4.0, which rcc reads and writes with.
 *
 * It follows neither YAML 1.1 nor 1.2 to the letter: base-60 numbers are texts, `y` and `on` are booleans, octals may
 * be written `0o7`. Pure; only the kind is told, since rcc never uses the value of anything but a text.
 */
export type ScalarKind = 'text' | 'null' | 'boolean' | 'number' | 'timestamp'

const WORDS: ReadonlyMap<string, ScalarKind> = new Map([
  ...both('boolean', ['y', 'yes', 'true', 'on', 'n', 'no', 'false', 'off']),
  ...both('null', ['null']),
  ['', 'null'],
  ['~', 'null'],
  ...['.nan', '.NaN', '.NAN', '.inf', '.Inf', '.INF', '+.inf', '+.Inf', '+.INF', '-.inf', '-.Inf', '-.INF'].map(
    (word): [string, ScalarKind] => [word, 'number'],
  ),
])

const FLOAT = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/
/** Here underscores may only stand between digits. */
const POINT_FLOAT = /^\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?$/
const INTEGER = /^([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|([1-9][0-9]*|0))$/
/** The number after `0b` may have a sign of its own, by an oversight that is now part of the format. */
const SIGNED_BINARY = /^0b[-+][01]{1,63}$/
const TIMESTAMP =
  /^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[Tt]([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?(?:Z|[-+]([0-9]{2}):([0-9]{2}))| +([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?)?$/
const BASE_60 = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/

/** @param text of a plain scalar, without tag */
export function scalarKind(text: string): ScalarKind {
  const word = WORDS.get(text)
  if (word !== undefined) return word
  const first = text.charAt(0)
  const plain = text.replaceAll('_', '')
  if (first === '.') return POINT_FLOAT.test(text) && Number.isFinite(Number(plain)) ? 'number' : 'text'
  if (!/^[-+0-9]/.test(first)) return 'text'
  if (isTimestamp(text)) return 'timestamp'
  if (isInteger(plain) || SIGNED_BINARY.test(plain)) return 'number'
  return FLOAT.test(plain) && Number.isFinite(Number(plain)) ? 'number' : 'text'
}

/** Base-60 numbers are texts when read, yet quoted when written, for the sake of other parsers. */
export function isBase60(text: string): boolean {
  return BASE_60.test(text)
}

/** Whether Go's ParseInt or ParseUint take it, in 64 bits, with the base in the prefix. */
function isInteger(text: string): boolean {
  const match = INTEGER.exec(text)
  if (match === null) return false
  const [, sign = '', hexadecimal, binary, octal, decimal = '0'] = match
  const digits =
    hexadecimal !== undefined
      ? `0x${hexadecimal}`
      : binary !== undefined
        ? `0b${binary}`
        : octal !== undefined
          ? `0o${octal}`
          : decimal
  // Longer ones do not fit anyway.
  if (digits.length > 80) return false
  const value = BigInt(digits)
  if (sign === '-') return value <= 1n << 63n
  return sign === '+' ? value < 1n << 63n : value < 1n << 64n
}

function isTimestamp(text: string): boolean {
  const match = TIMESTAMP.exec(text)
  if (match === null) return false
  const [year, month, day, hour, minute, second, zoneHour, zoneMinute, hour2, minute2, second2] = match
    .slice(1)
    .map((part) => Number(part ?? 0)) as [number, number, number, ...number[]]
  if (month < 1 || month > 12 || day < 1) return false
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
  const days = month === 2 ? (leap ? 29 : 28) : [4, 6, 9, 11].includes(month) ? 30 : 31
  if (day > days || (zoneHour ?? 0) > 24 || (zoneMinute ?? 0) > 60) return false
  return (
    [hour, hour2].every((part = 0) => part < 24) && [minute, second, minute2, second2].every((part = 0) => part < 60)
  )
}

/** Each word in lower case, capitalised, and in upper case. */
function both(kind: ScalarKind, words: readonly string[]): [string, ScalarKind][] {
  return words.flatMap((word): [string, ScalarKind][] => [
    [word, kind],
    [word.charAt(0).toUpperCase() + word.slice(1), kind],
    [word.toUpperCase(), kind],
  ])
}
