/**
 * The system calls of Linux that Bun has no functions for, or only slow ones: libc through `bun:ffi`, relative to
 * directory descriptors. One call costs 130 to 420 ns, where `node:fs` takes 3 to 4 µs.
 *
 * Knows nothing of what is done with them. Results are as in C, -1 for a failure, and `errno` tells which: to be asked
 * at once, on the thread that made the call. Constants are those of x86-64 and AArch64, the two that rcc runs on.
 */
import { dlopen, FFIType, type Pointer, ptr, read } from 'bun:ffi'
import { constants as os } from 'node:os'
import { HoloError } from './errors.ts'
import type { FileStamp } from './file-stamp.ts'

export const O_RDONLY = 0
export const O_WRONLY = 1
export const O_RDWR = 2
export const O_CREAT = 0o100
export const O_EXCL = 0o200
export const O_NONBLOCK = 0o4000
export const O_CLOEXEC = 0o2000000
export const O_DIRECTORY = process.arch === 'arm64' ? 0o40000 : 0o200000
export const O_NOFOLLOW = process.arch === 'arm64' ? 0o100000 : 0o400000
export const AT_FDCWD = -100
export const AT_REMOVEDIR = 0x200
/** ioctl(2): share the blocks of another file. */
export const FICLONE = 0x40049409
const STATX_BASIC_STATS = 0x7ff
const AT_SYMLINK_NOFOLLOW = 0x100
const AT_EMPTY_PATH = 0x1000

export const ENOENT = os.errno.ENOENT
export const EEXIST = os.errno.EEXIST

/** A C string: an address, or bytes that end with NUL and stay alive during the call. */
export type CString = Pointer | Uint8Array

const SYMBOLS = {
  openat: { args: ['i32', 'ptr', 'i32', 'u32'], returns: 'i32' },
  close: { args: ['i32'], returns: 'i32' },
  statx: { args: ['i32', 'ptr', 'i32', 'u32', 'ptr'], returns: 'i32' },
  mkdirat: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  linkat: { args: ['i32', 'ptr', 'i32', 'ptr', 'i32'], returns: 'i32' },
  symlinkat: { args: ['ptr', 'i32', 'ptr'], returns: 'i32' },
  renameat: { args: ['i32', 'ptr', 'i32', 'ptr'], returns: 'i32' },
  unlinkat: { args: ['i32', 'ptr', 'i32'], returns: 'i32' },
  ioctl: { args: ['i32', 'u64', 'i32'], returns: 'i32' },
  copy_file_range: { args: ['i32', 'ptr', 'i32', 'ptr', 'u64', 'u32'], returns: FFIType.i64_fast },
  pread: { args: ['i32', 'ptr', 'u64', 'i64'], returns: FFIType.i64_fast },
  pwrite: { args: ['i32', 'ptr', 'u64', 'i64'], returns: FFIType.i64_fast },
  fchmod: { args: ['i32', 'u32'], returns: 'i32' },
  fchmodat: { args: ['i32', 'ptr', 'u32', 'i32'], returns: 'i32' },
  futimens: { args: ['i32', 'ptr'], returns: 'i32' },
  utimensat: { args: ['i32', 'ptr', 'ptr', 'i32'], returns: 'i32' },
  flock: { args: ['i32', 'i32'], returns: 'i32' },
  getsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'ptr'], returns: 'i32' },
  setsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32' },
  syscall: { args: ['i64', 'i64', 'ptr', 'i64', 'i64', 'i64', 'i64'], returns: FFIType.i64_fast },
  __errno_location: { args: [], returns: 'ptr' },
} as const

function open(library: string) {
  return dlopen(library, SYMBOLS).symbols
}

/** The calls of `SYMBOLS`, and the errno of the last one that failed on this thread. */
export type Libc = ReturnType<typeof open> & { errno(): number }

let loaded: Libc | undefined

/**
 * The C library of this process, the same for all callers of a thread.
 *
 * @throws {HoloError} blame `host`, code `libc-unknown`: not Linux, or neither glibc nor musl
 */
export function libc(): Libc {
  loaded ??= load()
  return loaded
}

function load(): Libc {
  // The second is musl's.
  for (const library of ['libc.so.6', `libc.musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`]) {
    try {
      const symbols = open(library)
      const place = Number(symbols.__errno_location()) as Pointer
      return { ...symbols, errno: () => read.i32(place, 0) }
    } catch {
      // Not this C library: the next one, or the error below.
    }
  }
  throw new HoloError(`No C library of ${process.platform} is known`, {
    code: 'libc-unknown',
    blame: 'host',
    hint: 'run holo-peer on Linux with glibc or musl',
  })
}

/** `text` as a C string. @throws {TypeError} it contains NUL, so the system would see another name */
export function cString(text: string): Uint8Array {
  const bytes = Buffer.from(`${text}\0`)
  if (bytes.indexOf(0) !== bytes.byteLength - 1) throw new TypeError('a name with NUL reached a system call')
  return bytes
}

/** Name of an errno: `ENOSPC`. */
export function errnoName(errno: number): string {
  if (errno === os.errno.EOPNOTSUPP) return 'EOPNOTSUPP'
  for (const [name, value] of Object.entries(os.errno)) if (value === errno) return name
  return `errno ${errno}`
}

/** What `node:fs` would have thrown: an error with a `code`, for `hostError`. */
export function errnoError(errno: number): Error & { readonly code: string } {
  const name = errnoName(errno)
  return Object.assign(new Error(name), { code: name })
}

const S_IFMT = 0o170000
const S_IFREG = 0o100000
const S_IFDIR = 0o040000
const S_IFLNK = 0o120000

/** Where `struct statx` keeps what we read, in 32-bit words; it is the same on every processor. */
const WORD = { nlink: 4, uid: 5, mode: 7, ino: 8, size: 10, ctime: 24, mtime: 28 }
/** In the order of a stamp: size and inode in two words each, seconds and nanoseconds of ctime and mtime. */
const STAMP_WORDS = [WORD.size, WORD.size + 1, WORD.ino, WORD.ino + 1, 24, 26, 28, 30] as const

/**
 * One file's status, filled by `at` or `of`; one value is used again and again, so nothing is allocated in a loop.
 */
export class Status {
  readonly words = new Uint32Array(64)
  readonly #address = ptr(this.words)
  readonly #libc = libc()
  readonly #empty = cString('')

  /** lstat(2) below a directory descriptor. @returns false where it failed; `errno` tells why */
  at(directory: number, name: CString): boolean {
    return this.#libc.statx(directory, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, this.#address) === 0
  }

  /** fstat(2). @returns as `at` */
  of(descriptor: number): boolean {
    return this.#libc.statx(descriptor, this.#empty, AT_EMPTY_PATH, STATX_BASIC_STATS, this.#address) === 0
  }

  get isFile(): boolean {
    return (this.#word(WORD.mode) & S_IFMT) === S_IFREG
  }

  get isDirectory(): boolean {
    return (this.#word(WORD.mode) & S_IFMT) === S_IFDIR
  }

  get isLink(): boolean {
    return (this.#word(WORD.mode) & S_IFMT) === S_IFLNK
  }

  /** The twelve bits of chmod(2). */
  get mode(): number {
    return this.#word(WORD.mode) & 0o7777
  }

  get links(): number {
    return this.#word(WORD.nlink)
  }

  get uid(): number {
    return this.#word(WORD.uid)
  }

  get sizeBytes(): number {
    return this.#word(WORD.size) + this.#word(WORD.size + 1) * 2 ** 32
  }

  /** Milliseconds, fractions included. */
  get mtimeMs(): number {
    const seconds = this.#word(WORD.mtime) + (this.#word(WORD.mtime + 1) | 0) * 2 ** 32
    return seconds * 1000 + this.#word(WORD.mtime + 2) / 1e6
  }

  /** Write the file's stamp (see `file-stamp.ts`) to `target`, from word `at` on. */
  copyStamp(target: FileStamp, at: number): void {
    for (let word = 0; word < STAMP_WORDS.length; word++) target[at + word] = this.#word(STAMP_WORDS[word] ?? 0)
  }

  #word(index: number): number {
    return this.words[index] ?? 0
  }
}
