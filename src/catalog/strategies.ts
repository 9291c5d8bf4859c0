/** The names of rcc's plans for how a space is restored, as settings, flags and reports bear them. */

export const STRATEGIES = ['auto', 'reflink', 'hardlink', 'smart', 'copy', 'symlink'] as const
/**
 * - `auto`: share blocks (reflink), else copy within the kernel, else write.
 * - `reflink`: share blocks, or fail.
 * - `hardlink`: link to the blob, wherever that is possible.
 * - `smart`: the same, less what matches `hardlink-excludes`; every exception is reported.
 * - `copy`: write bytes of the space's own.
 * - `symlink`: a link to the blob's path, for a library on another volume.
 */
export type Strategy = (typeof STRATEGIES)[number]

export const VERIFICATIONS = ['always', 'trusted', 'skip'] as const
/**
 * - `always`: every byte that is placed is hashed.
 * - `trusted`: a blob that looks as it did when it was verified last is not hashed again.
 * - `skip`: nothing is hashed.
 */
export type Verification = (typeof VERIFICATIONS)[number]

/** Whether files of a space are, or lead to, files of the library: then the space must not be written. */
export function linksToLibrary(strategy: Strategy): boolean {
  return strategy === 'hardlink' || strategy === 'smart' || strategy === 'symlink'
}
