/** The steps of making one file by `node:fs`, and of looking at a blob: for the placer that has nothing better. */
import * as fs from 'node:fs'
import { CHUNK_BYTES } from '../base/limits.ts'
import { hasherFor } from '../catalog/hasher.ts'
import { RESTORED_TIME_S } from './file-mode.ts'
import type { FileStep } from './plan.ts'

/** Whether a raw file is the blob. */
export async function isBlob(path: string, step: FileStep, signal: AbortSignal): Promise<boolean> {
  const descriptor = fs.openSync(path, fs.constants.O_RDONLY | (fs.constants.O_NOFOLLOW ?? 0))
  try {
    if (fs.fstatSync(descriptor).size !== step.sizeBytes) return false
    const hasher = hasherFor(step.digest)
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, step.sizeBytes))
    for (let at = 0; at < step.sizeBytes; ) {
      signal.throwIfAborted()
      const count = fs.readSync(descriptor, chunk, 0, chunk.byteLength, at)
      if (count === 0) return false
      hasher.update(chunk.subarray(0, count))
      at += count
    }
    return hasher.digest() === step.digest
  } finally {
    fs.closeSync(descriptor)
  }
}

/** Private until it is whole: the mode comes last. */
export function create(path: string): number {
  return fs.openSync(path, 'wx', 0o600)
}

export function finish(
  descriptor: number,
  content: Uint8Array,
  step: FileStep,
  temporary: string,
  target: string,
): void {
  try {
    writeAll(descriptor, content, 0)
    dress(descriptor, step)
  } finally {
    fs.closeSync(descriptor)
  }
  fs.renameSync(temporary, target)
}

/** After the last write, which would clear setuid and set the time. */
export function dress(descriptor: number, step: FileStep): void {
  fs.fchmodSync(descriptor, step.mode)
  fs.futimesSync(descriptor, RESTORED_TIME_S, RESTORED_TIME_S)
}

export function writeAll(descriptor: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.byteLength; ) {
    at += fs.writeSync(descriptor, bytes, at, bytes.byteLength - at, position + at)
  }
}

export function removeQuietly(path: string): void {
  try {
    fs.unlinkSync(path)
  } catch {
    // Never made, or renamed away.
  }
}
