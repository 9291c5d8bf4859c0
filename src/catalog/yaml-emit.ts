/**
 * Text as a YAML scalar, letter by letter as Go's yaml.v2 2.4.0 writes it: the blueprint hash is over these letters
 * (formats.md §4).
 *
 * Guarantees the same style (plain, single quoted, double quoted, literal block), escapes, and folds after column 80.
 */
import { isBase60, scalarKind } from './yaml-resolve.ts'

const WIDTH = 80
/** Steps of indentation; also the indentation indicator of a literal block. */
const INDENT_STEP = 2

/** Where a scalar begins. */
export interface ScalarPlace {
  /** Characters that stand before it on its line, blank included. */
  readonly column: number
  /** Blanks at the begin of the lines that continue it. */
  readonly indent: number
}

/**
 * @param text well-formed Unicode
 * @returns the scalar; it ends with a line break (U+2028 and U+2029 are some) only where it is a literal block whose
 *   text does
 */
export function emitScalar(text: string, place: ScalarPlace): string {
  const shape = analyse(text)
  if (text.includes('\n')) return shape.blockAllowed ? literal(text, place) : doubleQuoted(text, place)
  if (scalarKind(text) !== 'text' || isBase60(text)) return doubleQuoted(text, place)
  if (shape.plainAllowed) return folded(text, place, '')
  return shape.singleQuotedAllowed ? folded(text, place, "'") : doubleQuoted(text, place)
}

interface Shape {
  readonly plainAllowed: boolean
  readonly singleQuotedAllowed: boolean
  readonly blockAllowed: boolean
}

const BREAK = /[\n\r\u0085\u2028\u2029]/
/** A character that stands for something at the begin of a plain scalar. */
const LEADING_INDICATOR = /^(?:---|\.\.\.|[#,[\]{}&*!|>'"%@`]|[-?:](?:[ \t]|$))/
/** Printable, in the sense of YAML 1.1, less what is beyond the basic plane, which yaml.v2 escapes. */
const UNPRINTABLE = /[^\n\x20-\x7e\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd]/

function analyse(text: string): Shape {
  // Without the u flag a character above U+FFFF is two surrogates, and so unprintable.
  const special = UNPRINTABLE.test(text) || / [\n\r\u0085\u2028\u2029]/.test(text)
  const breakThenSpace = /[\n\r\u0085\u2028\u2029] /.test(text)
  const indicator = LEADING_INDICATOR.test(text) || /.:(?:[ \t]|$)/s.test(text) || HASH_AFTER_BLANK.test(text)
  const edges = text.startsWith(' ') || text.endsWith(' ')
  return {
    plainAllowed: !special && !indicator && !edges && !BREAK.test(text),
    singleQuotedAllowed: !special && !breakThenSpace,
    blockAllowed: !special && !text.endsWith(' '),
  }
}
// biome-ignore lint/suspicious/noControlCharactersInRegex: NUL counts as a blank before a hash
const HASH_AFTER_BLANK = /[ \t\n\r\u0085\u2028\u2029\u0000]#/

/** Plain or single quoted: folded at the first single blank beyond the width. */
function folded(text: string, { column, indent }: ScalarPlace, quote: '' | "'"): string {
  const continuation = `\n${' '.repeat(indent)}`
  const characters = [...text]
  let out = quote
  let at = column + quote.length
  let afterSpace = false
  let afterBreak = false
  for (const [index, character] of characters.entries()) {
    if (character === ' ') {
      const inside = quote === '' || (index > 0 && index < characters.length - 1)
      if (!afterSpace && at > WIDTH && inside && characters[index + 1] !== ' ') {
        out += continuation
        at = indent
      } else {
        out += ' '
        at++
      }
      afterSpace = true
    } else if (BREAK.test(character)) {
      // Only U+2028 and U+2029 come here: the others are unprintable or lead to another style.
      out += character
      at = 0
      afterBreak = true
    } else {
      if (afterBreak) {
        out += ' '.repeat(indent)
        at = indent
      }
      out += character === "'" && quote === "'" ? "''" : character
      at += character === "'" && quote === "'" ? 2 : 1
      afterSpace = false
      afterBreak = false
    }
  }
  return out + quote
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['\0', '0'],
  ['\x07', 'a'],
  ['\b', 'b'],
  ['\t', 't'],
  ['\n', 'n'],
  ['\v', 'v'],
  ['\f', 'f'],
  ['\r', 'r'],
  ['\x1b', 'e'],
  ['"', '"'],
  ['\\', '\\'],
  ['\u0085', 'N'],
  ['\u00a0', '_'],
  ['\u2028', 'L'],
  ['\u2029', 'P'],
])

function doubleQuoted(text: string, { column, indent }: ScalarPlace): string {
  const characters = [...text]
  // yaml.v2 looks for a byte order mark at the begin of the text whichever character it is at.
  const escapeAll = text.startsWith('\ufeff')
  let out = '"'
  let at = column + 1
  let afterSpace = false
  for (const [index, character] of characters.entries()) {
    if (escapeAll || UNPRINTABLE.test(character) || BREAK.test(character) || character === '"' || character === '\\') {
      const sequence = escaped(character)
      out += sequence
      at += sequence.length
      afterSpace = false
    } else if (character === ' ') {
      if (!afterSpace && at > WIDTH && index > 0 && index < characters.length - 1) {
        out += `\n${' '.repeat(indent)}`
        at = indent
        if (characters[index + 1] === ' ') {
          out += '\\'
          at++
        }
      } else {
        out += ' '
        at++
      }
      afterSpace = true
    } else {
      out += character
      at++
      afterSpace = false
    }
  }
  return `${out}"`
}

function escaped(character: string): string {
  const short = ESCAPES.get(character)
  if (short !== undefined) return `\\${short}`
  const code = character.codePointAt(0) ?? 0
  const [letter, width] = code <= 0xff ? ['x', 2] : code <= 0xffff ? ['u', 4] : ['U', 8]
  return `\\${letter}${code.toString(16).toUpperCase().padStart(Number(width), '0')}`
}

/** A literal block; its text contains a line break. */
function literal(text: string, { indent }: ScalarPlace): string {
  const hint = text.startsWith(' ') || BREAK.test(text.charAt(0)) ? String(INDENT_STEP) : ''
  const lastBreaks = /[\n\r\u0085\u2028\u2029]*$/.exec(text)?.[0].length ?? 0
  const chomp = lastBreaks === 0 ? '-' : lastBreaks > 1 || text.length === 1 ? '+' : ''
  let out = `|${hint}${chomp}\n`
  let lineBegins = true
  for (const character of text) {
    const isBreak = BREAK.test(character)
    if (!isBreak && lineBegins) out += ' '.repeat(indent)
    out += character
    lineBegins = isBreak
  }
  return out
}
