/**
 * A `Catalog` to the bytes that rcc writes: Go's JSON, indented by two blanks, HTML-escaped (formats.md §5).
 *
 * Guarantees byte equality with what rcc writes for the same tree, so that two machines can compare hashes.
 */
import { gzipSync } from 'node:zlib'
import { CHUNK_BYTES } from '../base/limits.ts'
import { spaceTarget } from './relocation.ts'
import type { Catalog, CatalogDirectory, CatalogFile, CatalogInfo } from './tree.ts'

/** rcc's level: BestSpeed. */
const GZIP_LEVEL = 1
const encoder = new TextEncoder()

/** The JSON of a catalog or `.meta`. */
export function encodeCatalog(catalog: Catalog): Uint8Array {
  const chunks = [encodeCatalogHead(catalog)]
  encodeCatalogTail(catalog, (chunk) => chunks.push(chunk.slice()))
  return Buffer.concat(chunks)
}

/** What `encodeCatalog` begins with: the info fields, in which alone a `.meta` differs from its catalog. */
export function encodeCatalogHead(info: CatalogInfo): Uint8Array {
  return encoder.encode(`{\n${infoLines(info).join(',\n')}`)
}

/**
 * What `encodeCatalog` goes on with, to the end. It comes in chunks: the whole takes some 700 bytes for each file.
 *
 * @param onChunk gets about `CHUNK_BYTES` at a time, in memory that is written over afterwards
 */
export function encodeCatalogTail({ lifted, tree }: Catalog, onChunk: (chunk: Uint8Array) => void): void {
  const out = new TextChunks(onChunk)
  out.push(`,\n  "lifted": ${lifted},\n  "tree": `)
  pushDirectory(out, tree, '  ')
  out.push('\n}')
  out.end()
}

/** Pieces of text, handed on joined: one by one they would cost a call each, all together twice their memory. */
class TextChunks {
  #pieces: string[] = []
  #length = 0
  #buffer = new Uint8Array(0)

  constructor(private readonly onChunk: (chunk: Uint8Array) => void) {}

  push(piece: string): void {
    this.#pieces.push(piece)
    this.#length += piece.length
    if (this.#length >= CHUNK_BYTES) this.end()
  }

  end(): void {
    if (this.#length === 0) return
    // A unit of a text takes at most three bytes.
    if (this.#buffer.byteLength < this.#length * 3) this.#buffer = new Uint8Array(this.#length * 3)
    const { written } = encoder.encodeInto(this.#pieces.join(''), this.#buffer)
    this.onChunk(this.#buffer.subarray(0, written))
    this.#pieces = []
    this.#length = 0
  }
}

/** The same, gzip'd, as it lies in a library or beside a space. */
export function encodeStoredCatalog(catalog: Catalog): Uint8Array {
  return gzipSync(encodeCatalog(catalog), { level: GZIP_LEVEL })
}

/** The seven info fields, for `.info` and `.meta.info`. */
export function encodeCatalogInfo(info: CatalogInfo): Uint8Array {
  return encoder.encode(`{\n${infoLines(info).join(',\n')}\n}`)
}

export interface SpaceIdentity {
  /** From `spaceName`. */
  readonly spaceName: string
  /** From `controllerIdentity`. */
  readonly controller: string
  readonly space: string
}

/**
 * What goes into the `.meta` of a space that was restored from `catalog`: only identity, path, controller and space
 * differ.
 *
 * @throws {HoloError} as `spaceTarget`
 */
export function spaceMeta(catalog: Catalog, { spaceName, controller, space }: SpaceIdentity): Catalog {
  return { ...catalog, identity: spaceName, path: spaceTarget(catalog, spaceName).path, controller, space }
}

function infoLines({ rcc, identity, path, controller, space, platform, blueprint }: CatalogInfo): string[] {
  const fields = { rcc, identity, path, controller, space, platform, blueprint }
  return Object.entries(fields).map(([name, value]) => `  "${name}": ${goString(value)}`)
}

function pushDirectory(out: TextChunks, directory: CatalogDirectory, indent: string): void {
  const inner = `${indent}  `
  const name = goString(directory.name)
  out.push(`{\n${inner}"name": ${name},\n`)
  if (directory.symlink !== undefined) out.push(`${inner}"symlink": ${goString(directory.symlink)},\n`)
  out.push(`${inner}"mode": ${directory.goMode},\n${inner}"subdirs": `)
  pushNamed(out, directory.subdirs, inner, pushDirectory)
  out.push(`,\n${inner}"files": `)
  pushNamed(out, directory.files, inner, pushFile)
  out.push(directory.shadow ? `,\n${inner}"shadow": true\n${indent}}` : `\n${indent}}`)
}

function pushFile(out: TextChunks, file: CatalogFile, indent: string): void {
  const link = file.symlink === undefined ? '' : `\n${indent}  "symlink": ${goString(file.symlink)},`
  const rewrite =
    file.rewrite.length === 0 ? '[]' : `[\n${indent}    ${file.rewrite.join(`,\n${indent}    `)}\n${indent}  ]`
  out.push(
    `{\n${indent}  "name": ${goString(file.name)},${link}\n${indent}  "size": ${file.sizeBytes},\n` +
      `${indent}  "mode": ${file.goMode},\n${indent}  "digest": "${file.digest}",\n${indent}  "rewrite": ${rewrite}\n${indent}}`,
  )
}

function pushNamed<Entry>(
  out: TextChunks,
  entries: ReadonlyMap<string, Entry>,
  indent: string,
  push: (out: TextChunks, entry: Entry, indent: string) => void,
): void {
  if (entries.size === 0) {
    out.push('{}')
    return
  }
  let separator = '{\n'
  for (const [name, entry] of entries) {
    out.push(`${separator}${indent}  ${goString(name)}: `)
    push(out, entry, `${indent}  `)
    separator = ',\n'
  }
  out.push(`\n${indent}}`)
}

/** A string literal of Go's encoding/json with HTML escapes. Text is well-formed: it came through the decoder. */
function goString(text: string): string {
  return JSON.stringify(text).replace(/[<>&\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
