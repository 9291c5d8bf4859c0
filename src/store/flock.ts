/**
 * flock(2) of the C library: the only lock that excludes rcc (formats.md §10; fcntl locks do not).
 *
 * One non-blocking attempt on an open descriptor. The lock belongs to the open file, so closing the descriptor, or the
 * end of the process, releases it.
 */
import { dlopen, type Pointer, read } from 'bun:ffi'
import { HoloError } from '../base/errors.ts'
import { libc } from '../base/libc.ts'

const LOCK_EX = 2
const LOCK_NB = 4
const EINTR = 4

interface Flock {
  flock(descriptor: number, operation: number): number
  errno(): number
}

let loaded: Flock | undefined

/**
 * Try to take the exclusive lock on `descriptor`.
 *
 * @returns false where another open file holds it
 * @throws {HoloError} code `lock-unsupported`: the file system or the system has no flock
 */
export function tryFlock(descriptor: number): boolean {
  loaded ??= load()
  for (;;) {
    if (loaded.flock(descriptor, LOCK_EX | LOCK_NB) === 0) return true
    const errno = loaded.errno()
    if (errno === (process.platform === 'darwin' ? 35 : 11)) return false
    if (errno === EINTR) continue
    throw new HoloError(`The file system refuses flock (errno ${errno})`, {
      code: 'lock-unsupported',
      blame: 'host',
      hint: 'put ROBOCORP_HOME on a local disk',
    })
  }
}

function load(): Flock {
  const flockType = { args: ['i32', 'i32'], returns: 'i32' } as const
  const errnoType = { args: [], returns: 'ptr' } as const
  if (process.platform === 'darwin') {
    const { symbols } = dlopen('libSystem.B.dylib', { flock: flockType, __error: errnoType })
    return { flock: symbols.flock, errno: () => valueAt(symbols.__error()) }
  }
  if (process.platform === 'linux') return libc()
  throw new HoloError(`No flock is known for ${process.platform}`, {
    code: 'lock-unsupported',
    blame: 'host',
    hint: 'run holo-peer on linux or darwin',
  })
}

function valueAt(pointer: Pointer | bigint | null): number {
  return pointer === null ? 0 : read.i32(Number(pointer) as Pointer, 0)
}
