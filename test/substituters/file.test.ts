import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { never } from '../../src/base/clock.ts'
import { openPushTarget, openSubstituter } from '../../src/substituters/open-substituter.ts'
import { TemporaryDirectory } from '../support/golden.ts'
import { AROUND, absent, addressOf, conforms, environment, failure, pushedTree, TERMS } from './conformance.ts'

async function openDirectory(directory: string) {
  const substituter = openSubstituter(addressOf(`file://${directory}`), TERMS, AROUND)
  return { substituter, proxy: undefined, [Symbol.asyncDispose]: () => substituter[Symbol.asyncDispose]() }
}

conforms({
  name: 'a directory',
  test,
  open: async () => openDirectory((await pushedTree()).path),
  isBulk: () => false,
})

describe('a directory as a place to push to', () => {
  const options = (spool: string, dryRun = false) => ({ dryRun, spool, onProgress: () => {} })

  test('is sent nothing twice, and nothing in a dry run', async () => {
    using folder = new TemporaryDirectory()
    using spool = new TemporaryDirectory()
    await using target = openPushTarget(addressOf(`file://${folder.path}`), TERMS, AROUND)
    const dry = await target.push(environment, options(spool.path, true), never)
    expect([dry.blobsSent, dry.packBytesSent, dry.catalogSent]).toEqual([environment.refs.length, undefined, true])
    expect(fs.readdirSync(folder.path)).toEqual([])
    const first = await target.push(environment, options(spool.path), never)
    expect(first.blobsSent).toBe(environment.refs.length)
    const again = await target.push(environment, options(spool.path), never)
    expect([again.blobsSent, again.packBytesSent, again.catalogSent]).toEqual([0, 0, false])
    expect(fs.readdirSync(spool.path)).toEqual([])
  })

  test('takes two pushes at once, and is whole after', async () => {
    using folder = new TemporaryDirectory()
    using spool = new TemporaryDirectory()
    using other = new TemporaryDirectory()
    await using target = openPushTarget(addressOf(`file://${folder.path}`), TERMS, AROUND)
    await Promise.all([
      target.push(environment, options(spool.path), never),
      target.push(environment, options(other.path), never),
      target.push(absent, options(spool.path), never).catch(() => {}),
    ])
    const files = fs.readdirSync(folder.path, { recursive: true, encoding: 'utf8' })
    expect(files.filter((name) => name.includes('.holo-peer-'))).toEqual([])
    const again = await target.push(environment, options(spool.path), never)
    expect([again.blobsSent, again.packBytesSent, again.catalogSent]).toEqual([0, 0, false])
  })

  test('is not made where it is not there: the share may not be mounted', async () => {
    using folder = new TemporaryDirectory()
    const gone = join(folder.path, 'not-mounted')
    await using target = openPushTarget(addressOf(`file://${gone}`), TERMS, AROUND)
    const error = await failure(target.push(environment, options(folder.path), never))
    expect(error.blame).toBe('source')
    expect(fs.existsSync(gone)).toBe(false)
    await using opened = await openDirectory(gone)
    expect((await failure(opened.substituter.find(environment.name, never))).blame).toBe('source')
  })

  test('gets no blob of this machine that is rotten, and no catalog', async () => {
    using folder = new TemporaryDirectory()
    using spool = new TemporaryDirectory()
    await using target = openPushTarget(addressOf(`file://${folder.path}`), TERMS, AROUND)
    const rotten = {
      ...environment,
      blobs: {
        find: (digest: (typeof environment.refs)[number]['digest']) => {
          const blob = environment.blobs.find(digest)
          if (blob === undefined || digest !== environment.refs[5]?.digest) return blob
          return { ...blob, whole: (sizeBytes: number) => new Uint8Array(sizeBytes) }
        },
      },
    }
    const pushed = target.push(
      { ...rotten, blobs: rotten.blobs as typeof environment.blobs },
      options(spool.path),
      never,
    )
    const error = await failure(pushed)
    expect([error.blame, error.code]).toEqual(['host', 'local-blob-corrupt'])
    expect(fs.existsSync(join(folder.path, 'catalog'))).toBe(false)
  })
})
