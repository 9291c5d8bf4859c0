/**
 * How the files of a space come to their content: the strategies a user may choose, and what each means for one file.
 *
 * Pure. A file that a strategy cannot treat as the others is treated by the next best way, for a reason that the
 * report tells. Knows nothing of what the file systems at hand can do: that shows when it is tried.
 */
import type { Digest } from '../blob/digest.ts'
import { linksToLibrary, type Strategy } from '../catalog/strategies.ts'

/** What to try for one file, in this order: `link` and `symlink` fall to `share`, `share` to writing. */
export type Way = 'share' | 'share-only' | 'write' | 'link' | 'symlink'

/** Why a file is not linked although the strategy links. */
export type LinkException =
  | 'relocated'
  | 'gzip'
  | 'empty'
  | 'excluded'
  | 'copy-pattern'
  | 'executable'
  | 'second-mode'
  | 'special-mode'
  | 'refused'

export interface StrategyOptions {
  readonly strategy: Strategy
  /** Paths that `smart` does not link; relative to the space. */
  readonly hardlinkExcludes: (path: string) => boolean
  /** Paths whose bytes are written whatever the strategy. */
  readonly copyPatterns: (path: string) => boolean
  /** macOS refuses to run a program whose signature was made for another inode. */
  readonly linksExecutables: boolean
}

/** What is asked of one file. */
export interface FileShape {
  readonly digest: Digest
  readonly sizeBytes: number
  /** The twelve bits of chmod(2). */
  readonly mode: number
  readonly rewrite: readonly number[]
}

export interface Choice {
  readonly way: Way
  readonly exception?: LinkException
}

const SPECIAL_BITS = 0o7000
const OWNER_READ_BIT = 0o400
const EXECUTE_BITS = 0o111

/** Chooses for the files of one plan, in the order of the plan: the first mode of a blob is the one that links get. */
export class WayChooser {
  readonly #modes = new Map<Digest, number>()

  constructor(private readonly options: StrategyOptions) {}

  /** @param path relative to the space, with `/` */
  choose(path: string, file: FileShape): Choice {
    const { strategy, copyPatterns } = this.options
    const links = linksToLibrary(strategy)
    if (strategy === 'copy') return { way: 'write' }
    if (copyPatterns(path)) return links ? { way: 'write', exception: 'copy-pattern' } : { way: 'write' }
    if (!links) return { way: strategy === 'reflink' ? 'share-only' : 'share' }
    const exception = this.#exceptionOf(path, file)
    if (exception !== undefined) return { way: 'share', exception }
    return { way: strategy === 'symlink' ? 'symlink' : 'link' }
  }

  #exceptionOf(path: string, { digest, sizeBytes, mode, rewrite }: FileShape): LinkException | undefined {
    const { strategy, hardlinkExcludes, linksExecutables } = this.options
    if (rewrite.length > 0) return 'relocated'
    if (sizeBytes === 0) return 'empty'
    // A blob that its owner could not read any more would be lost to every other environment.
    if ((mode & SPECIAL_BITS) !== 0 || (mode & OWNER_READ_BIT) === 0) return 'special-mode'
    if ((mode & EXECUTE_BITS) !== 0 && !linksExecutables) return 'executable'
    if (strategy === 'smart' && hardlinkExcludes(path)) return 'excluded'
    const first = this.#modes.get(digest) ?? mode
    this.#modes.set(digest, first)
    return first === mode ? undefined : 'second-mode'
  }
}

/** How a file came to be; `absent` and `corrupt`: its blob was, so it did not. */
export const METHODS = [
  'reflinked',
  'copied',
  'written',
  'decoded',
  'hardlinked',
  'symlinked',
  'empty',
  'absent',
  'corrupt',
] as const
export type Method = (typeof METHODS)[number]
