/**
 * The door to wherever a static tree lies: a web server, a bucket, a directory. Objects by name, no listing needed.
 */
import type { TreeName } from './tree-names.ts'

/** Part of an object. */
export interface ObjectRange {
  readonly offset: number
  readonly bytes: number
}

export interface ReadOptions {
  /** Undefined: the whole object. */
  readonly range?: ObjectRange
  /** Whether the object may come encoded; else as it lies there. */
  readonly encoded?: boolean
}

/** An object, or the asked range of it, on its way. */
export interface TreeObject {
  readonly encoding: 'identity' | 'gzip' | 'zstd'
  /**
   * In chunks, to be read once, to the end or not at all. Of a range exactly as much as was asked for.
   *
   * @throws {SourceFailedError} while iterating
   */
  readonly bytes: AsyncIterable<Uint8Array>
}

export interface TreeStore extends AsyncDisposable {
  /** As in every message. */
  readonly name: string
  /**
   * `has`: which of these objects are there, plural where the place allows. `read`: one of them.
   *
   * @returns undefined where there is no such object
   * @throws {SourceFailedError}; {HoloError} blame `input`: credentials are refused; `signal.reason`
   */
  has(names: readonly TreeName[], signal: AbortSignal): Promise<ReadonlySet<TreeName>>
  read(name: TreeName, options: ReadOptions, signal: AbortSignal): Promise<TreeObject | undefined>
}
