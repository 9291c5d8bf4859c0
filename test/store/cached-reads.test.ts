// Goal: what is in memory is read at once, what is not is never waited for, and nothing else comes out.
import { ptr } from 'bun:ffi'
import { describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { CachedReads } from '../../src/store/cached-reads.ts'
import { madeContent } from '../support/made-pieces.ts'
import { FILE_SYSTEMS, Mounted, mountObstacle } from '../support/mounts.ts'
import { skipUnless } from '../support/skip.ts'

const PAGE_BYTES = 4096
const content = new Uint8Array(madeContent(700_001, 5))

describe.each(FILE_SYSTEMS)('on %s', (kind) => {
  const obstacle = mountObstacle(kind)
  const fsTest = skipUnless(obstacle === undefined, obstacle ?? '')

  fsTest('reads any part of a file that was written just now, and no part that is beyond its end', () => {
    using mounted = new Mounted(kind)
    using file = opened(mounted.path)
    for (const [offset, bytes] of [
      [0, 700_001],
      [4_095, 300_000],
      [700_000, 1],
      [9, 0],
    ] as const) {
      const found = new Uint8Array(bytes)
      expect(file.reads.read(found, offset)).toBeTrue()
      expect(found).toEqual(content.subarray(offset, offset + bytes))
    }
    expect(file.reads.read(new Uint8Array(2), 700_000)).toBeFalse()
    expect(file.reads.read(new Uint8Array(2), 800_000)).toBeFalse()
  })
})

const obstacle = mountObstacle('ext4')
skipUnless(obstacle === undefined, obstacle ?? '')('does not wait for a disk', () => {
  using mounted = new Mounted('ext4')
  const pages = new Uint8Array(64 * PAGE_BYTES).map((_, at) => at % 251)
  const path = join(mounted.path, 'file')
  writePastCache(path, pages)
  using file = readable(path)
  const found = new Uint8Array(pages.byteLength)
  expect(file.reads.read(found, 0)).toBeFalse()
  // Whoever waits for it has it, and the next one at once.
  fs.readSync(file.descriptor, found, 0, found.byteLength, 0)
  found.fill(0)
  expect(file.reads.read(found, 0)).toBeTrue()
  expect(found).toEqual(pages)
})

/** What is written so is on the disk alone (open(2), O_DIRECT); it must lie at the border of a page. */
function writePastCache(path: string, pages: Uint8Array): void {
  const memory = new Uint8Array(pages.byteLength + PAGE_BYTES)
  const at = PAGE_BYTES - (ptr(memory) % PAGE_BYTES)
  memory.set(pages, at)
  const { O_CREAT, O_WRONLY, O_DIRECT = 0 } = fs.constants
  const descriptor = fs.openSync(path, O_CREAT | O_WRONLY | O_DIRECT)
  fs.writeSync(descriptor, memory, at, pages.byteLength, 0)
  fs.closeSync(descriptor)
}

function opened(directory: string) {
  const path = join(directory, 'file')
  fs.writeFileSync(path, content)
  return readable(path)
}

function readable(path: string) {
  const descriptor = fs.openSync(path, 'r')
  return { descriptor, reads: new CachedReads(descriptor, path), [Symbol.dispose]: () => fs.closeSync(descriptor) }
}
