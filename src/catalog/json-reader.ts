/**
 * A pull reader of JSON: the caller says what it expects next, and nothing is built that it did not ask for.
 *
 * `JSON.parse` builds everything before the first check, and 512 MB of `{},{},…` become many GB of objects. This reader
 * goes over the bytes once, in no recursion of its own, and allocates one string at a time, held against a bound first.
 * It knows JSON's grammar and no schema; a syntax error is thrown as a JsonSyntaxError with its byte offset.
 */

export class JsonSyntaxError extends Error {
  constructor(
    problem: string,
    readonly offset: number,
  ) {
    super(`${problem} at byte ${offset}`)
    this.name = 'JsonSyntaxError'
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const COLON = 0x3a
const COMMA = 0x2c
/** Digits of 2^53, the largest integer that a number holds exactly. */
const INTEGER_DIGITS_MAX = 16
/** How much of the bytes is at hand as text for `match`, and how far ahead a pattern may look. */
const TEXT_BYTES = 64 * 1024
const MATCH_BYTES_MAX = 2048
/** Places for keys that were read before: a power of two, some times the keys of a schema. */
const KNOWN_KEYS = 64

export class JsonReader {
  readonly #bytes: Buffer
  readonly #knownKeys: (string | undefined)[] = new Array(KNOWN_KEYS).fill(undefined)
  #text = ''
  #textStart = 0
  #at = 0
  #stringStart = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Offset of the next byte to be read. */
  get offset(): number {
    return this.#at
  }

  /**
   * Read an object, calling `member` for each key, which must consume the value.
   *
   * @param keyBytesMax bound on the length of a key's UTF-8 form
   * @param keys `few`: the keys are those of a schema, the same again and again; `any`: they are names
   * @param whole consumes a key with its value where it can, and tells whether it did; `member` is not called then
   */
  object(keyBytesMax: number, keys: 'few' | 'any', member: (key: string) => void, whole?: () => boolean): void {
    this.#expect(OPEN_BRACE, 'an object')
    if (this.#accept(CLOSE_BRACE)) return
    do {
      if (whole?.()) continue
      const key = (keys === 'few' ? this.#knownKey(keyBytesMax) : undefined) ?? this.string(keyBytesMax)
      this.#expect(COLON, 'a colon')
      member(key)
    } while (this.#accept(COMMA))
    this.#expect(CLOSE_BRACE, 'a comma or the end of the object')
  }

  /** Read an array, calling `item` for each element, which must consume it. */
  array(item: () => void): void {
    this.#expect(OPEN_BRACKET, 'an array')
    if (this.#accept(CLOSE_BRACKET)) return
    do item()
    while (this.#accept(COMMA))
    this.#expect(CLOSE_BRACKET, 'a comma or the end of the array')
  }

  /**
   * Read a string.
   *
   * @param bytesMax bound on the length of its UTF-8 form
   * @throws {JsonSyntaxError} no string here, longer than the bound, raw control characters, or bytes that are not UTF-8
   */
  string(bytesMax: number): string {
    const plain = this.#passString()
    const start = this.#stringStart
    const end = this.#at - 1
    // An escape takes up to six bytes for one.
    if (end - start > (plain ? bytesMax : 6 * bytesMax)) throw this.#tooLong(bytesMax)
    if (plain) return this.#bytes.toString('latin1', start, end)
    const text = this.#unescaped(start, end)
    if (Buffer.byteLength(text) > bytesMax) throw this.#tooLong(bytesMax)
    return text
  }

  /**
   * Read a string if it is this one, letter by letter: no text is made for what the caller has already.
   *
   * @returns false where another value is next, or the same text in another spelling; nothing is consumed then
   */
  acceptString(text: string): boolean {
    this.#skipBlank()
    const start = this.#at
    const bytes = this.#bytes
    if (bytes[start] !== QUOTE || bytes[start + text.length + 1] !== QUOTE) return false
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index)
      if (bytes[start + 1 + index] !== unit || unit >= 0x80 || unit < 0x20 || unit === BACKSLASH || unit === QUOTE) {
        return false
      }
    }
    this.#at = start + text.length + 2
    return true
  }

  /**
   * Read what a pattern describes: compiled, it is several times quicker than reading value by value, where most of what
   * comes is written in one way.
   *
   * @param pattern sticky, of ASCII and at most `MATCH_BYTES_MAX`, and matches nothing but JSON
   * @returns its groups; undefined where something else is next, and nothing is consumed then
   */
  match(pattern: RegExp): RegExpExecArray | undefined {
    this.#skipBlank()
    const isAtHand = this.#at + MATCH_BYTES_MAX <= this.#textStart + this.#text.length
    if (!isAtHand || this.#at < this.#textStart) {
      this.#textStart = this.#at
      this.#text = this.#bytes.toString('latin1', this.#at, this.#at + TEXT_BYTES)
    }
    pattern.lastIndex = this.#at - this.#textStart
    const found = pattern.exec(this.#text)
    if (found === null) return undefined
    this.#at = this.#textStart + pattern.lastIndex
    return found
  }

  /** ASCII that was read already. @param start offset */
  passed(start: number, end: number): string {
    return this.#bytes.toString('latin1', start, end)
  }

  /** Read an integer. @throws {JsonSyntaxError} negative, fractional, or above 2^53 - 1 */
  unsigned(): number {
    this.#skipBlank()
    const bytes = this.#bytes
    const start = this.#at
    let value = 0
    for (;;) {
      const digit = (bytes[this.#at] ?? 0) - 0x30
      if (digit < 0 || digit > 9) break
      value = value * 10 + digit
      this.#at++
    }
    const digits = this.#at - start
    const next = bytes[this.#at]
    const fractional = next === 0x2e || next === 0x65 || next === 0x45
    const leadingZero = digits > 1 && bytes[start] === 0x30
    if (digits === 0 || digits > INTEGER_DIGITS_MAX || fractional || leadingZero || !Number.isSafeInteger(value)) {
      throw new JsonSyntaxError('a number is not an integer between 0 and 2^53', start)
    }
    return value
  }

  boolean(): boolean {
    if (this.#word('true')) return true
    if (this.#word('false')) return false
    throw new JsonSyntaxError('true or false was expected', this.#at)
  }

  /** Consume `null` if it is next. */
  acceptNull(): boolean {
    return this.#word('null')
  }

  /** Pass over one value of any kind, at most `depthMax` levels deep. */
  skip(depthMax: number): void {
    this.#skipBlank()
    const next = this.#bytes[this.#at]
    if (next === QUOTE) this.#passString()
    else if (next === OPEN_BRACE || next === OPEN_BRACKET) {
      if (depthMax <= 0) throw new JsonSyntaxError('the nesting is too deep', this.#at)
      const close = next === OPEN_BRACE ? CLOSE_BRACE : CLOSE_BRACKET
      this.#at++
      if (this.#accept(close)) return
      do {
        if (next === OPEN_BRACE) {
          this.#passString()
          this.#expect(COLON, 'a colon')
        }
        this.skip(depthMax - 1)
      } while (this.#accept(COMMA))
      this.#expect(close, 'a comma or a closing bracket')
    } else if (!this.#word('true') && !this.#word('false') && !this.#word('null')) this.#skipNumber()
  }

  /** @throws {JsonSyntaxError} something but blanks stands after the last value */
  end(): void {
    this.#skipBlank()
    if (this.#at < this.#bytes.byteLength) throw new JsonSyntaxError('more text follows the end', this.#at)
  }

  /** A key that is plain and was read before; one that is plain is noted. Nothing is consumed where it returns undefined. */
  #knownKey(bytesMax: number): string | undefined {
    this.#skipBlank()
    const bytes = this.#bytes
    const start = this.#at + 1
    let end = start
    // Only letters: whatever else stands in a key is for `string` to judge.
    for (let byte = bytes[end] ?? 0; byte >= 0x61 && byte <= 0x7a; byte = bytes[end] ?? 0) end++
    if (bytes[start - 1] !== QUOTE || bytes[end] !== QUOTE || end - start > bytesMax) return undefined
    const place = ((bytes[start] ?? 0) * 5 + (end - start)) % KNOWN_KEYS
    const known = this.#knownKeys[place]
    if (known !== undefined && this.acceptString(known)) return known
    this.#knownKeys[place] = bytes.toString('latin1', start, end)
    return undefined
  }

  /** Go to the end of a string and note its start. @returns whether it is ASCII without escapes */
  #passString(): boolean {
    this.#expect(QUOTE, 'a string')
    const bytes = this.#bytes
    let at = this.#at
    this.#stringStart = at
    let plain = true
    for (;;) {
      const byte = bytes[at]
      if (byte === QUOTE) break
      if (byte === undefined) throw new JsonSyntaxError('the text ends inside a string', at)
      if (byte < 0x20) throw new JsonSyntaxError('a raw control character stands in a string', at)
      if (byte === BACKSLASH) {
        plain = false
        at++
      } else if (byte >= 0x80) plain = false
      at++
    }
    this.#at = at + 1
    return plain
  }

  #skipNumber(): void {
    const start = this.#at
    const isNumeric = (byte: number) => (byte >= 0x30 && byte <= 0x39) || [0x2b, 0x2d, 0x2e, 0x45, 0x65].includes(byte)
    while (isNumeric(this.#bytes[this.#at] ?? 0)) this.#at++
    const text = this.#bytes.toString('latin1', start, this.#at)
    if (text === '' || Number.isNaN(Number(text))) throw new JsonSyntaxError('a value was expected', start)
  }

  /** JSON.parse of one string literal, whose end is known. A lone surrogate becomes U+FFFD, as in Go. */
  #unescaped(start: number, end: number): string {
    const raw = this.#bytes.subarray(start - 1, end + 1)
    try {
      return (JSON.parse(utf8.decode(raw)) as string).toWellFormed()
    } catch {
      throw new JsonSyntaxError('a string has a bad escape or is not UTF-8', start)
    }
  }

  #tooLong(bytesMax: number): JsonSyntaxError {
    return new JsonSyntaxError(`a text is longer than ${bytesMax} bytes`, this.#stringStart)
  }

  #word(word: string): boolean {
    this.#skipBlank()
    for (let index = 0; index < word.length; index++) {
      if (this.#bytes[this.#at + index] !== word.charCodeAt(index)) return false
    }
    this.#at += word.length
    return true
  }

  #accept(byte: number): boolean {
    this.#skipBlank()
    if (this.#bytes[this.#at] !== byte) return false
    this.#at++
    return true
  }

  #expect(byte: number, what: string): void {
    if (!this.#accept(byte)) throw new JsonSyntaxError(`${what} was expected`, this.#at)
  }

  #skipBlank(): void {
    const bytes = this.#bytes
    let at = this.#at
    for (;;) {
      const byte = bytes[at]
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
      at++
    }
    this.#at = at
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
