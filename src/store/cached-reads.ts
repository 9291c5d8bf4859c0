/**
 * Reading what the system has in memory, at once: handing such a read to another thread and back costs more than the read,
 * and on a machine that is busy its turn at a core as well. What lies on the disk alone is for that thread.
 */

import { ptr } from 'bun:ffi'
import * as fs from 'node:fs'
import { libc } from '../base/libc.ts'

/** preadv2(2), by its number: an old musl has no function for it. */
const PREADV2 = process.arch === 'arm64' ? 286 : 327
/** Fail instead of waiting for the disk. */
const RWF_NOWAIT = 8
/** `TMPFS_MAGIC` of linux/magic.h. */
const TMPFS = 0x01021994

const vector = new BigUint64Array(2)

/** A file that is read from this way. */
export class CachedReads {
  readonly #isInMemory: boolean

  /** @param path of the open file @throws as `node:fs` */
  constructor(
    private readonly descriptor: number,
    path: string,
  ) {
    // That file system knows no such reading, nor does it have a disk.
    this.#isInMemory = process.platform === 'linux' && fs.statfsSync(path).type === TMPFS
  }

  /**
   * Fill `bytes` from the file, from `offset` on.
   *
   * @returns whether it was filled: not where a part lies on the disk alone, beyond the end, or the system has no such
   *   reading; then it is to be filled anew
   */
  read(bytes: Uint8Array, offset: number): boolean {
    if (process.platform !== 'linux') return false
    const { byteLength } = bytes
    if (this.#isInMemory) return fs.readSync(this.descriptor, bytes, 0, byteLength, offset) === byteLength
    if (byteLength === 0) return true
    vector[0] = BigInt(ptr(bytes))
    vector[1] = BigInt(byteLength)
    return Number(libc().syscall(PREADV2, this.descriptor, vector, 1, offset, 0, RWF_NOWAIT)) === byteLength
  }
}
