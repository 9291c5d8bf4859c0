/** Memory given back without waiting for the collector, which lets megabytes pile up behind small objects. */

/** Below this the collector is as good. */
const FREED_BYTES_MIN = 4 * 1024

/** Free the memory of `bytes`, which nobody may use any more; a view of a part of a buffer is left to the collector. */
export function freeNow({ buffer, byteLength }: Uint8Array): void {
  const whole = buffer instanceof ArrayBuffer && byteLength === buffer.byteLength
  if (whole && byteLength >= FREED_BYTES_MIN) buffer.transfer(0)
}
