/**
 * Socket options that Bun does not offer, set with libc's setsockopt through bun:ffi.
 *
 * Everything here is an improvement that may fail: without FFI, on an unknown system, or without permission, the answer
 * is false or undefined and the socket works as the system made it. Knows nothing of UDX.
 * Numbers: Linux include/uapi/asm-generic/socket.h and linux/in.h, Darwin sys/socket.h and netinet/in.h, Winsock.
 */
import { dlopen, FFIType, ptr } from 'bun:ffi'
import type { BufferDirection } from './port.ts'

interface Libc {
  set(fd: number, level: number, name: number, value: number): boolean
  get(fd: number, level: number, name: number): number | undefined
}

interface Names {
  libraries: readonly string[]
  socketLevel: number
  /** `force` exceeds the system's limit, for root; 0 where there is no such option. */
  buffers: Readonly<Record<BufferDirection, { option: number; force: number }>>
  /** [level, name, value] for IPv4 and IPv6. */
  dontFragment: readonly [number, number, number][]
  /** The same for having ICMP errors of one destination not fail sends to another. */
  quiet: readonly [number, number, number][]
}

const IP = 0
const IPV6 = 41

const NAMES: Partial<Record<NodeJS.Platform, Names>> = {
  linux: {
    libraries: ['libc.so.6', `libc.musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`],
    socketLevel: 1,
    buffers: { send: { option: 7, force: 32 }, receive: { option: 8, force: 33 } },
    // IP_MTU_DISCOVER and IPV6_MTU_DISCOVER, both to PMTUDISC_PROBE: set DF, and let us find the size.
    dontFragment: [
      [IP, 10, 3],
      [IPV6, 23, 3],
    ],
    // IP_RECVERR and IPV6_RECVERR, which Bun turns on.
    quiet: [
      [IP, 11, 0],
      [IPV6, 25, 0],
    ],
  },
  darwin: {
    libraries: ['libSystem.B.dylib'],
    socketLevel: 0xffff,
    buffers: { send: { option: 0x1001, force: 0 }, receive: { option: 0x1002, force: 0 } },
    dontFragment: [
      [IP, 28, 1],
      [IPV6, 62, 1],
    ],
    quiet: [],
  },
  win32: {
    libraries: ['ws2_32.dll'],
    socketLevel: 0xffff,
    buffers: { send: { option: 0x1001, force: 0 }, receive: { option: 0x1002, force: 0 } },
    dontFragment: [
      [IP, 14, 1],
      [IPV6, 14, 1],
    ],
    quiet: [],
  },
}

const names = NAMES[process.platform]
let libc: Libc | undefined
let tried = false

/** Set or clear DF on every packet of the socket. @returns false when that cannot be: packets are fragmented at need */
export function setDontFragment(fd: number, family: 4 | 6, on: boolean): boolean {
  const options = names?.dontFragment ?? []
  return setAll(fd, family, on ? options : options.map(([level, name]) => [level, name, 0]))
}

/** Keep what ICMP says of one destination from failing a send to another. */
export function ignoreIcmpErrors(fd: number, family: 4 | 6): boolean {
  return setAll(fd, family, names?.quiet ?? [])
}

/** A buffer's size in bytes, undefined where it cannot be known. Linux reports twice what was asked for: its own share. */
export function bufferBytes(fd: number, direction: BufferDirection): number | undefined {
  return names && load()?.get(fd, names.socketLevel, names.buffers[direction].option)
}

/** Ask for a buffer of `bytes`. @returns what the system granted, undefined where it cannot be known */
export function setBufferBytes(fd: number, direction: BufferDirection, bytes: number): number | undefined {
  const library = load()
  if (library === undefined || names === undefined) return undefined
  const { socketLevel } = names
  const { option, force } = names.buffers[direction]
  // Darwin refuses what exceeds its limit instead of granting the limit.
  for (let size = bytes; size >= 65536; size = Math.floor(size / 2)) {
    if (library.set(fd, socketLevel, option, size)) break
  }
  const granted = library.get(fd, socketLevel, option)
  if (force === 0 || granted === undefined || granted >= bytes) return granted
  library.set(fd, socketLevel, force, bytes)
  return library.get(fd, socketLevel, option)
}

/** A dual-stack socket takes the IPv4 option too, for mapped addresses; it counts when one for its family is set. */
function setAll(fd: number, family: 4 | 6, options: readonly [number, number, number][]): boolean {
  const library = load()
  if (library === undefined) return false
  let done = false
  for (const [level, name, value] of options) {
    if (family === 4 && level === IPV6) continue
    const set = library.set(fd, level, name, value)
    if (level === (family === 4 ? IP : IPV6)) done = set
  }
  return done
}

function load(): Libc | undefined {
  if (tried) return libc
  tried = true
  for (const library of names?.libraries ?? []) {
    try {
      libc = open(library)
      return libc
    } catch {
      // The next name, or none: this module's promise is to do without.
    }
  }
  return undefined
}

function open(library: string): Libc {
  const { symbols } = dlopen(library, {
    setsockopt: { args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
    getsockopt: { args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.ptr], returns: FFIType.i32 },
  })
  const value = new Int32Array(1)
  const length = new Int32Array(1)
  return {
    set(fd, level, name, wanted) {
      value[0] = wanted
      return symbols.setsockopt(fd, level, name, ptr(value), 4) === 0
    },
    get(fd, level, name) {
      value[0] = 0
      length[0] = 4
      return symbols.getsockopt(fd, level, name, ptr(value), ptr(length)) === 0 ? value[0] : undefined
    },
  }
}
