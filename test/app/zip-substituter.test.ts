import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { zipSubstituter } from '../../src/app/zip-substituter.ts'
import { never } from '../../src/base/clock.ts'
import { blobEntryName, catalogEntryName } from '../../src/catalog/layout.ts'
import { conforms, environment, failure } from '../substituters/conformance.ts'
import { TemporaryDirectory } from '../support/golden.ts'
import { goZip } from '../support/rccremote-twin.ts'

/** As rcc exports it. */
function exported(): Uint8Array {
  const blobs = [...environment.blobs.stored].map(([digest, stored]) => [blobEntryName(digest), stored] as const)
  return goZip([...blobs, [catalogEntryName(environment.name), environment.stored]])
}

conforms({
  name: 'a hololib.zip',
  test,
  open: async () => {
    const folder = new TemporaryDirectory()
    const path = join(folder.path, 'hololib.zip')
    fs.writeFileSync(path, exported())
    const substituter = zipSubstituter(`file://${path}`, path)
    return {
      substituter,
      proxy: undefined,
      [Symbol.asyncDispose]: async () => {
        await substituter[Symbol.asyncDispose]()
        folder[Symbol.dispose]()
      },
    }
  },
  isBulk: () => false,
})

describe('zipSubstituter()', () => {
  test('blames the source for a zip that is not there or damaged, and looks again the next time', async () => {
    using folder = new TemporaryDirectory()
    const path = join(folder.path, 'hololib.zip')
    await using substituter = zipSubstituter('the stick', path)
    expect((await failure(substituter.find(environment.name, never))).blame).toBe('source')
    fs.writeFileSync(path, 'PK but no zip')
    expect((await failure(substituter.find(environment.name, never))).blame).toBe('source')
    fs.writeFileSync(path, exported())
    expect(await substituter.find(environment.name, never)).toBeDefined()
  })
})
