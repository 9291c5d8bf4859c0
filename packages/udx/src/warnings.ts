/**
 * What keeps UDX from its best on this machine, in words for whoever runs it. Nothing here stops anything; each is said
 * once per UDX object.
 */
import type { BoundPort } from './port.ts'

export interface UDXWarning {
  code: 'SMALL_RECEIVE_BUFFER' | 'SMALL_SEND_BUFFER' | 'NO_DONT_FRAGMENT'
  /** What is the matter, one sentence. */
  message: string
  /** What to do about it. */
  hint: string
}

/** Enough for a full window of one stream while our thread is busy elsewhere. */
export const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
export const SEND_BUFFER_BYTES = 1024 * 1024

/** Ask the system for what UDX wants of a port. @returns what it did not grant */
export function tune(port: BoundPort, receiveBytes: number, sendBytes: number): UDXWarning[] {
  const warnings: UDXWarning[] = []
  for (const [direction, wanted, code, limit] of [
    ['receive', receiveBytes, 'SMALL_RECEIVE_BUFFER', 'net.core.rmem_max'],
    ['send', sendBytes, 'SMALL_SEND_BUFFER', 'net.core.wmem_max'],
  ] as const) {
    const granted = port.setBufferBytes(direction, wanted)
    if (granted >= wanted) continue
    const got = granted > 0 ? `${Math.floor(granted / 1024)} KiB` : 'an unknown size'
    warnings.push({
      code,
      message: `the UDP ${direction} buffer is ${got} instead of ${Math.floor(wanted / 1024)} KiB, so bursts lose packets`,
      hint: process.platform === 'linux' ? `set ${limit} to ${wanted} or more (sysctl)` : "raise the system's limit",
    })
  }
  if (!port.dontFragment) {
    warnings.push({
      code: 'NO_DONT_FRAGMENT',
      message: "the don't-fragment bit cannot be set, so packets stay at 1200 bytes",
      hint: 'run on Linux, macOS or Windows with bun:ffi',
    })
  }
  return warnings
}
