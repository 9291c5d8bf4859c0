/**
 * The door to wherever a static tree lies: a web server, a bucket, a directory. Objects by name, no listing needed.
 */
import type { TreeName } from '../catalog/tree-names.ts'

/** Part of an object. */
export interface ObjectRange {
  readonly offset: number
  readonly bytes: number
}

export interface ReadOptions {
  /** Undefined: the whole object. */
  readonly range?: ObjectRange
  /** Of an object that was read before: another one that has taken its place is a failure, code `source-changed`. */
  readonly version?: string | undefined
  /** Whether the object may come encoded; else as it lies there. */
  readonly encoded?: boolean
}

/** An object, or the asked range of it, on its way. */
export interface TreeObject {
  readonly encoding: 'identity' | 'gzip' | 'zstd'
  /** What tells this object from one that takes its place; undefined where the tree tells nothing. */
  readonly version?: string | undefined
  /**
   * In chunks, to be read once, to the end or not at all. Of a range exactly as much as was asked for.
   *
   * @throws {SourceFailedError} while iterating
   */
  readonly bytes: AsyncIterable<Uint8Array>
}

/** What is written: bytes at hand, or a file of our own that nobody changes meanwhile. */
export type TreeContent =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'file'; readonly path: string; readonly sizeBytes: number }

/** A tree that can be read. */
export interface TreeReader extends AsyncDisposable {
  /** As in every message. */
  readonly name: string
  /**
   * Which of these objects are there; plural, since some places can tell many at once.
   *
   * @throws as `read`
   */
  has(names: readonly TreeName[], signal: AbortSignal): Promise<ReadonlySet<TreeName>>
  /**
   * @returns undefined where there is no such object
   * @throws {SourceFailedError}; `signal.reason`
   */
  read(name: TreeName, options: ReadOptions, signal: AbortSignal): Promise<TreeObject | undefined>
}

export interface TreeStore extends TreeReader {
  /**
   * Make an object, or replace it, at once and whole: whoever reads meanwhile gets the one or the other.
   *
   * @throws {SourceFailedError} code `source-read-only` where it takes none; `signal.reason`
   */
  write(name: TreeName, content: TreeContent, signal: AbortSignal): Promise<void>
}
