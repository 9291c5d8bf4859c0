/** Blobs made up by a test, and the pieces that they travel in. */
import { sha256Of } from '../../src/blob/digest.ts'
import { type Pieces, piecesOf } from '../../src/catalog/pieces.ts'
import type { Catalog, CatalogFile } from '../../src/catalog/tree.ts'
import { STAGE } from './made-catalog.ts'

export interface MadePieces {
  readonly catalog: Catalog
  readonly pieces: Pieces
  /** Raw content by number of the piece. */
  readonly contents: readonly Uint8Array[]
  readonly blobs: ReadonlyMap<string, Uint8Array>
  /** SHA-256 of every piece, back to back. */
  readonly table: Uint8Array
}

/** The catalog that has each of `blobs` as one file. */
export function madePieces(blobs: readonly Uint8Array[]): MadePieces {
  const byDigest = new Map<string, Uint8Array>(blobs.map((content) => [sha256Of(content), content]))
  const files = blobs.map((content, index): [string, CatalogFile] => {
    const name = String(index).padStart(6, '0')
    const sizeBytes = content.byteLength
    return [name, { name, sizeBytes, digest: sha256Of(content), symlink: undefined, goMode: 0o644, rewrite: [] }]
  })
  const catalog: Catalog = {
    rcc: 'v18.18.1',
    identity: STAGE,
    path: `/ht/${STAGE}`,
    controller: '',
    space: '',
    platform: 'linux_amd64',
    blueprint: '0123456789abcdef',
    lifted: true,
    tree: {
      name: '',
      symlink: undefined,
      goMode: 2 ** 31 + 0o755,
      shadow: false,
      subdirs: new Map(),
      files: new Map(files),
    },
  }
  const pieces = piecesOf(catalog)
  const contentOf = (blob: number) => byDigest.get(pieces.blobs[blob]?.digest ?? '') ?? new Uint8Array(0)
  const contents = pieces.pieces.map((piece) =>
    piece.kind === 'group'
      ? new Uint8Array(Buffer.concat(piece.blobs.map(contentOf)))
      : contentOf(piece.blob).slice(piece.offset, piece.offset + piece.bytes),
  )
  return { catalog, pieces, contents, blobs: byDigest, table: tableOf(contents) }
}

/** The table of pieces with these contents. */
export function tableOf(contents: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.from(contents.map((content) => sha256Of(content)).join(''), 'hex'))
}

/** Content that compresses to about half, the same for the same seed. */
export function madeContent(sizeBytes: number, seed: number): Uint8Array {
  const content = new Uint8Array(sizeBytes)
  let state = (seed * 2654435761 + 1) >>> 0
  for (let at = 0; at < sizeBytes; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    content[at] = at % 2 === 0 ? 0x61 + (seed % 16) : state >>> 24
  }
  return content
}

/** `content` with one byte altered. */
export function altered(content: Uint8Array, at: number): Uint8Array {
  // Not slice(): that of a Buffer is a view.
  const copy = Uint8Array.from(content)
  copy[at % copy.byteLength] = (copy[at % copy.byteLength] ?? 0) ^ 0x55
  return copy
}
