/**
 * YAML as rcc reads it: Go's yaml.v2 into fields of known types.
 *
 * The syntax is left to the library `yaml`, the meaning of plain scalars to yaml-resolve.ts; types, merges (`<<`),
 * repeated keys (the last counts) and further documents (not read) are as in Go. Every failure is a HoloError that
 * names the file, line and column. Knows no schema.
 */
import {
  type Alias,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  parseAllDocuments,
  type Scalar,
  visit,
  type YAMLMap,
} from 'yaml'
import { HoloError } from '../base/errors.ts'
import { YAML_BYTES_MAX, YAML_ITEMS_MAX } from '../base/limits.ts'
import { type ScalarKind, scalarKind } from './yaml-resolve.ts'

/** Depth of `<<` within `<<`. */
const MERGE_DEPTH_MAX = 16

/** A value of a list whose items may be of any type. */
export type LooseItem =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'map'; readonly fields: ReadonlyMap<string, YamlField> }
  | { readonly kind: 'other' }

/** A value whose type the reader states. */
export interface YamlField {
  /** The text of any scalar, `null` being ''. @throws {HoloError} a list or map */
  text(): string
  /** A list of scalars as texts, `null` being empty. @throws {HoloError} anything else */
  textList(): string[]
  /** A list of anything, `null` being empty. @throws {HoloError} no list */
  looseList(): LooseItem[]
  isList(): boolean
  /** The entries of a map whose keys are scalars, undefined for `null`. @throws {HoloError} no map */
  map(): ReadonlyMap<string, YamlField> | undefined
}

/**
 * Parse the first document of a file whose top is a map.
 *
 * @param fileName for errors
 * @returns the fields by key; empty for an empty file
 * @throws {HoloError} blame `input`: code `yaml-malformed` (syntax, encoding), `yaml-type` (something of another type
 *   than rcc expects), `yaml-too-large`
 */
export function readYaml(bytes: Uint8Array, fileName: string): ReadonlyMap<string, YamlField> {
  return new YamlReader(bytes, fileName).top()
}

class YamlReader {
  readonly #fileName: string
  readonly #lines = new LineCounter()
  readonly #targets = new Map<Alias, Node>()
  readonly #top: ParsedNode | null
  /** Length of a file whose last line has no line break, Infinity otherwise. */
  #openEnd = Number.POSITIVE_INFINITY
  #items = 0

  constructor(bytes: Uint8Array, fileName: string) {
    this.#fileName = fileName
    if (bytes.byteLength > YAML_BYTES_MAX) {
      throw this.#error('yaml-too-large', undefined, `it has more than ${YAML_BYTES_MAX} bytes`)
    }
    const text = this.#decoded(bytes)
    if (!/(?:^|[\r\n])[ \t]*$/.test(text)) this.#openEnd = text.length
    const document = this.#parsed(text)
    this.#top = document?.contents ?? null
    // An alias means the last anchor of its name before it; asking the library would go over the document each time.
    const anchors = new Map<string, Node>()
    if (document === undefined) return
    visit(document, {
      Alias: (_key, alias) => {
        const target = anchors.get(alias.source)
        if (target === undefined) throw this.#error('yaml-malformed', alias, `the anchor ${alias.source} is unknown`)
        this.#targets.set(alias, target)
      },
      Value: (_key, node) => {
        if (node.anchor !== undefined) anchors.set(node.anchor, node)
      },
    })
  }

  top(): ReadonlyMap<string, YamlField> {
    return this.#field(this.#top).map() ?? new Map()
  }

  #decoded(bytes: Uint8Array): string {
    const encoding =
      bytes[0] === 0xff && bytes[1] === 0xfe
        ? 'utf-16le'
        : bytes[0] === 0xfe && bytes[1] === 0xff
          ? 'utf-16be'
          : 'utf-8'
    let text: string
    try {
      text = new TextDecoder(encoding, { fatal: true }).decode(bytes)
    } catch (cause) {
      throw this.#error('yaml-malformed', undefined, `it is not ${encoding.toUpperCase()} text`, cause)
    }
    const control = CONTROL.exec(text)
    // YAML 1.1 ends lines by these too, the library does not; places in the file stay what they are.
    if (control === null) return text.replace(/\r(?!\n)|\u0085/g, '\n')
    const before = text.slice(0, control.index)
    const line = before.split('\n').length
    const code = control[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')
    throw this.#errorAt(
      'yaml-malformed',
      { line, col: before.length - before.lastIndexOf('\n') },
      `the control character U+${code} is not allowed`,
    )
  }

  #parsed(text: string) {
    try {
      const documents = parseAllDocuments(text, {
        version: '1.1',
        schema: 'failsafe',
        uniqueKeys: false,
        lineCounter: this.#lines,
        prettyErrors: false,
        logLevel: 'silent',
      })
      const document = Array.isArray(documents) ? documents[0] : undefined
      const error = document?.errors[0]
      if (error !== undefined) {
        throw this.#errorAt(
          'yaml-malformed',
          this.#lines.linePos(error.pos[0]),
          error.message.replace(/\.?$/, ''),
          error,
        )
      }
      return document
    } catch (cause) {
      if (cause instanceof HoloError) throw cause
      // The library recurses: a text that is nested thousands of levels deep ends as a RangeError.
      throw this.#error('yaml-malformed', undefined, 'it is nested too deep', cause)
    }
  }

  #field(given: Node | null | undefined): YamlField {
    return {
      text: () => this.#text(given),
      textList: () => this.#list(given).map((item) => this.#text(item)),
      looseList: () => this.#list(given).map((item) => this.#loose(item)),
      isList: () => isSeq(this.#resolved(given)),
      map: () => {
        const node = this.#resolved(given)
        if (this.#kindOf(node) === 'null') return undefined
        if (!isMap(node)) throw this.#typeError(node, 'a map')
        return this.#entries(node)
      },
    }
  }

  #text(given: Node | null | undefined): string {
    const node = this.#resolved(given)
    const kind = this.#kindOf(node)
    if (kind === 'null') return ''
    if (!isScalar(node)) throw this.#typeError(node, 'a text')
    return this.#scalarText(node)
  }

  #list(given: Node | null | undefined): readonly (Node | null)[] {
    const node = this.#resolved(given)
    if (this.#kindOf(node) === 'null') return []
    if (!isSeq(node)) throw this.#typeError(node, 'a list')
    return node.items as (Node | null)[]
  }

  #loose(given: Node | null): LooseItem {
    const node = this.#resolved(given)
    if (isMap(node)) return { kind: 'map', fields: this.#entries(node) }
    // A list within the list is nothing that rcc looks at.
    const kind = this.#kindOf(node)
    // What looks like a date becomes a text where no type is asked for.
    if ((kind !== 'text' && kind !== 'timestamp') || !isScalar(node)) return { kind: 'other' }
    return { kind: 'text', text: this.#scalarText(node) }
  }

  #entries(map: YAMLMap, into = new Map<string, YamlField>(), depth = 0): Map<string, YamlField> {
    if (depth > MERGE_DEPTH_MAX) throw this.#error('yaml-malformed', map, 'merges are nested too deep')
    for (const { key, value } of map.items) {
      const keyNode = this.#resolved(key as Node | null)
      if (isScalar(keyNode) && keyNode.value === '<<' && keyNode.type === 'PLAIN') {
        for (const merged of this.#merged(value as Node | null)) this.#entries(merged, into, depth + 1)
      } else {
        if (keyNode !== null && !isScalar(keyNode)) throw this.#typeError(keyNode, 'a text as key')
        into.set(this.#text(keyNode), this.#field(value as Node | null))
      }
    }
    return into
  }

  /** The maps behind `<<:`, those that take precedence last. */
  #merged(given: Node | null): YAMLMap[] {
    const node = this.#resolved(given)
    const maps = isSeq(node) ? node.items.map((item) => this.#resolved(item as Node | null)).reverse() : [node]
    return maps.map((map) => {
      if (!isMap(map)) throw this.#typeError(map, 'a map, or a list of maps, behind <<')
      return map
    })
  }

  #resolved(given: Node | null | undefined): Node | null {
    this.#items++
    if (this.#items > YAML_ITEMS_MAX)
      throw this.#error('yaml-too-large', undefined, `it has more than ${YAML_ITEMS_MAX} entries`)
    const node = isAlias(given) ? this.#targets.get(given) : given
    return node ?? null
  }

  #kindOf(node: Node | null): ScalarKind | undefined {
    if (node === null) return 'null'
    if (!isScalar(node)) return undefined
    const plain = node.type === 'PLAIN' || node.type === undefined
    if (node.tag === undefined) return plain ? scalarKind(sourceOf(node)) : 'text'
    if (node.tag === `${CORE_TAG}binary`) throw this.#error('yaml-malformed', node, 'binary texts are not supported')
    const wanted = KIND_OF_TAG.get(node.tag)
    if (wanted !== undefined && scalarKind(sourceOf(node)) !== wanted) {
      throw this.#error('yaml-malformed', node, `${JSON.stringify(sourceOf(node).slice(0, 80))} is no ${wanted}`)
    }
    return wanted ?? 'text'
  }

  #scalarText(node: Scalar): string {
    let text = sourceOf(node)
    // Go gives a block no line break that the file does not have; the library always ends it with one.
    const isBlock = node.type === 'BLOCK_LITERAL' || node.type === 'BLOCK_FOLDED'
    if (isBlock && (node.range?.[1] ?? 0) >= this.#openEnd) text = text.replace(/\n$/, '')
    if (!text.isWellFormed()) throw this.#error('yaml-malformed', node, 'a text contains half a Unicode character')
    return text
  }

  #typeError(node: Node | null, wanted: string): HoloError {
    const actual = isMap(node)
      ? 'a map'
      : isSeq(node)
        ? 'a list'
        : isScalar(node)
          ? `the ${this.#kindOf(node)} ${JSON.stringify(sourceOf(node).slice(0, 80))}`
          : 'nothing'
    return this.#error('yaml-type', node ?? undefined, `${actual} stands where ${wanted} is expected`)
  }

  #error(code: string, node: Node | undefined, problem: string, cause?: unknown): HoloError {
    const offset = node?.range?.[0]
    return this.#errorAt(code, offset === undefined ? undefined : this.#lines.linePos(offset), problem, cause)
  }

  #errorAt(code: string, at: { line: number; col: number } | undefined, problem: string, cause?: unknown): HoloError {
    const place = at === undefined || at.line === 0 ? '' : ` (line ${at.line}, column ${at.col})`
    return new HoloError(`${this.#fileName} cannot be read${place}: ${problem}`, {
      code,
      blame: 'input',
      hint: 'correct that file',
      cause,
    })
  }
}

/** What YAML's reader forbids; a byte order mark at the begin is gone by then. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u0084\u0086-\u009f\ufffe\uffff]/

const CORE_TAG = 'tag:yaml.org,2002:'
/** Tags that tell a scalar's kind; all others make it a text. */
const KIND_OF_TAG: ReadonlyMap<string, ScalarKind> = new Map([
  [`${CORE_TAG}int`, 'number'],
  [`${CORE_TAG}float`, 'number'],
  [`${CORE_TAG}bool`, 'boolean'],
  [`${CORE_TAG}null`, 'null'],
  [`${CORE_TAG}timestamp`, 'timestamp'],
])

function sourceOf(node: Scalar): string {
  return typeof node.value === 'string' ? node.value : (node.source ?? '')
}
