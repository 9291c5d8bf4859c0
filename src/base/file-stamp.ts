/**
 * The stamp of a file: by what it is known again without reading it. Size, inode, ctime and mtime to the nanosecond:
 * no program changes a file's bytes without changing one of them.
 *
 * Eight 32-bit words, so that thousands lie in one array and two compare without allocating: size (low, high), inode
 * (low, high), ctime (seconds, nanoseconds), mtime (seconds, nanoseconds).
 */

export type FileStamp = Uint32Array

export const STAMP_LENGTH = 8
/** The words of size and inode, which come first. */
const INODE_LENGTH = 4

/** Of `fs.BigIntStats`. */
export interface StampedStatus {
  readonly size: bigint
  readonly ino: bigint
  readonly ctimeNs: bigint
  readonly mtimeNs: bigint
}

/** The stamp of what `fs.stat` with `bigint: true` told. */
export function stampOf({ size, ino, ctimeNs, mtimeNs }: StampedStatus): FileStamp {
  const half = 2n ** 32n
  const second = 1_000_000_000n
  const words = [size, size / half, ino, ino / half, ctimeNs / second, ctimeNs % second, mtimeNs / second]
  return Uint32Array.from([...words, mtimeNs % second], (word) => Number(word % half))
}

/** Whether the stamps at two places of two arrays are the same. */
export function sameStamp(left: FileStamp, leftAt: number, right: FileStamp, rightAt: number): boolean {
  for (let word = 0; word < STAMP_LENGTH; word++) if (left[leftAt + word] !== right[rightAt + word]) return false
  return true
}

/** Whether the stamps at two places are of one inode that kept its size, whatever happened to it since. */
export function sameInode(left: FileStamp, leftAt: number, right: FileStamp, rightAt: number): boolean {
  for (let word = 0; word < INODE_LENGTH; word++) if (left[leftAt + word] !== right[rightAt + word]) return false
  return true
}
