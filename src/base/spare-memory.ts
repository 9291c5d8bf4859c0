/**
 * Memory for wire forms of pieces, which is used again: new memory costs a page fault for each 4 KiB, and another thread's
 * time when it goes back to the system. Bounded, and given up once it has not been asked for.
 */
import { after } from './clock.ts'
import { freeNow } from './free-now.ts'
import { KIB, MIB } from './limits.ts'

/** So much is kept, about what a quick fetch has under way, and for so long. */
const SPARE_BYTES_MAX = 16 * MIB
const SPARE_MS = 1_000
/** Buffers have multiples of this, so that one fits for others, too; what of it is not touched costs nothing. */
const STEP_BYTES = 64 * KIB
/** Below this new memory is as good. */
const REUSED_BYTES_MIN = 4 * KIB

/** What was given back last comes first: it is the likeliest to be in a cache. */
let spare: ArrayBuffer[] = []
let spareBytes = 0
/** Made here, and nobody's but of whoever asked for it. */
const ours = new WeakSet<ArrayBuffer>()
let isAsked = false
let isTimed = false

/** @returns so many bytes, with anything in them, alone in a buffer that may be larger */
export function spareMemory(bytes: number): Uint8Array<ArrayBuffer> {
  if (bytes < REUSED_BYTES_MIN) return new Uint8Array(bytes)
  isAsked = true
  for (let at = spare.length - 1; at >= 0; at--) {
    const buffer = spare[at]
    if (buffer === undefined || buffer.byteLength < bytes) continue
    spare.splice(at, 1)
    spareBytes -= buffer.byteLength
    return new Uint8Array(buffer, 0, bytes)
  }
  const size = Math.ceil(bytes / STEP_BYTES) * STEP_BYTES
  // Not zeroed.
  const { buffer } = Buffer.allocUnsafeSlow(size)
  ours.add(buffer)
  return new Uint8Array(buffer, 0, bytes)
}

/** Nobody uses `bytes` any more, nor anything else of its buffer where that is of `spareMemory`; other memory is freed. */
export function giveBack(bytes: Uint8Array): void {
  const { buffer } = bytes
  if (!(buffer instanceof ArrayBuffer) || !ours.has(buffer)) freeNow(bytes)
  else keep(buffer)
}

/** `bytes` have come from another thread, in a buffer that nobody else has a part of: giving them back keeps it. @returns them */
export function adopt(bytes: Uint8Array): Uint8Array {
  const { buffer } = bytes
  if (buffer instanceof ArrayBuffer && buffer.byteLength >= REUSED_BYTES_MIN) ours.add(buffer)
  return bytes
}

/** Whether whoever has these bytes has all of their buffer, so that it can be handed to another thread. */
export function hasWholeBuffer(bytes: Uint8Array): bytes is Uint8Array<ArrayBuffer> {
  const { buffer, byteLength } = bytes
  return buffer instanceof ArrayBuffer && (byteLength === buffer.byteLength || ours.has(buffer))
}

function keep(buffer: ArrayBuffer): void {
  // One that was moved on, or given back twice.
  if (buffer.byteLength === 0 || spare.includes(buffer)) return
  if (spareBytes + buffer.byteLength > SPARE_BYTES_MAX) {
    buffer.transfer(0)
    return
  }
  spare.push(buffer)
  spareBytes += buffer.byteLength
  if (!isTimed) giveUpLater()
}

function giveUpLater(): void {
  isTimed = true
  isAsked = false
  after(SPARE_MS, () => {
    isTimed = false
    if (isAsked) {
      giveUpLater()
      return
    }
    for (const buffer of spare) buffer.transfer(0)
    spare = []
    spareBytes = 0
  })
}
