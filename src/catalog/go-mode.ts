/** Go's FileMode, the form in which rcc records modes: the same bits as chmod(2), at other places (formats.md §5). */

export const GO_DIRECTORY = 2 ** 31
export const GO_SETUID = 2 ** 23
export const GO_SETGID = 2 ** 22
export const GO_STICKY = 2 ** 20

/** @param unixMode the low twelve bits of `st_mode`; others are ignored @returns the FileMode of a regular file */
export function goFileMode(unixMode: number): number {
  const special =
    ((unixMode & 0o4000) === 0 ? 0 : GO_SETUID) |
    ((unixMode & 0o2000) === 0 ? 0 : GO_SETGID) |
    ((unixMode & 0o1000) === 0 ? 0 : GO_STICKY)
  return (unixMode & 0o777) | special
}

/** The same for a directory. */
export function goDirectoryMode(unixMode: number): number {
  // Added, since 2^31 does not fit into the signed result of a bitwise or.
  return GO_DIRECTORY + goFileMode(unixMode)
}
