import { expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { BLOB_WHOLE_BYTES_MAX } from '../../src/base/limits.ts'
import { sha256Of } from '../../src/blob/digest.ts'
import { blobPath } from '../../src/catalog/layout.ts'
import { BlobsUnusableError } from '../../src/restore/apply.ts'
import { Library } from '../../src/store/library.ts'
import { restoreIn } from '../restore/restore-in.ts'
import { differences, rootsIn } from '../support/golden.ts'
import { type MadeTree, MemoryBlobs, madeCatalog, madeListing, STAGE } from '../support/made-catalog.ts'
import { Mounted, mountObstacle } from '../support/mounts.ts'
import { skipUnless } from '../support/skip.ts'

const SPACE = 'dc4d952_5a1fac3_5f364f47'
const obstacle = mountObstacle('btrfs')
const onBtrfs = skipUnless(obstacle === undefined, obstacle ?? '')

// Goal: raw blobs are cloned where the file system can, verified and relocated all the same, and never changed.
onBtrfs('applyPlan() clones raw blobs and relocates the clones', async () => {
  using volume = new Mounted('btrfs')
  const mounted = volume.path
  const filler = 'some text of a module\n'.repeat(8_000)
  const relocated = `#!/x/${STAGE}/bin/python\n${filler}${STAGE}`
  const large = 'large '.repeat(BLOB_WHOLE_BYTES_MAX / 3)
  const tree: MadeTree = {
    relocated: { kind: 'file', text: relocated, mode: 0o755 },
    large: { kind: 'file', text: large, mode: 0o400 },
    small: { kind: 'file', text: 'small', mode: 0o644 },
  }
  const library = new Library(rootsIn(mounted))
  for (const text of [relocated, large, 'small']) {
    const path = blobPath(library.roots, sha256Of(Buffer.from(text)))
    fs.mkdirSync(join(path, '..'), { recursive: true })
    fs.writeFileSync(path, text, { mode: 0o444 })
  }
  const catalog = madeCatalog(tree, join(mounted, 'base'), new MemoryBlobs())

  const { spacePath, report } = await restoreIn(catalog, SPACE, library)

  expect(report.methods.reflinked).toEqual({ files: 3, bytes: relocated.length + large.length + 5 })
  expect(report.relocated).toBe(1)
  expect(differences(spacePath, madeListing(tree, SPACE), { directoryTimes: 'ignored' })).toEqual([])
  const blob = blobPath(library.roots, sha256Of(Buffer.from(relocated)))
  expect(fs.readFileSync(blob, 'utf8')).toBe(relocated)

  fs.rmSync(blob)
  fs.writeFileSync(blob, `!${relocated.slice(1)}`)
  fs.rmSync(join(spacePath, 'relocated'))
  const failure = await restoreIn(catalog, SPACE, library).catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(BlobsUnusableError)
  expect(fs.readdirSync(spacePath).sort()).toEqual(['large', 'small'])
})
