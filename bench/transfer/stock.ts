/**
 * Environments as libraries that travel: in rcc's form (gzip) or in ours (raw), recorded for the base that every host of
 * a test LAN has, with every blob that the catalog names, so that a daemon takes them for complete.
 */

import { createCipheriv } from 'node:crypto'
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { never } from '../../src/base/clock.ts'
import { sha256Of } from '../../src/blob/digest.ts'
import { beginsLikeGzip } from '../../src/blob/gzip.ts'
import type { BlobRef } from '../../src/blob/source.ts'
import { compareBytewise } from '../../src/catalog/bytewise.ts'
import { encodeStoredCatalog } from '../../src/catalog/encode-catalog.ts'
import { blobPath, catalogPath } from '../../src/catalog/layout.ts'
import { catalogName, stageName } from '../../src/catalog/names.ts'
import type { Catalog, CatalogFile } from '../../src/catalog/tree.ts'
import { distinctBlobs } from '../../src/catalog/walk.ts'
import { loadBlueprint } from '../../src/config/environment.ts'
import { Library } from '../../src/store/library.ts'
import { rebased, rootsIn } from '../../test/support/golden.ts'
import { GOLDEN_BASE } from '../../test/support/lan.ts'
import { type Environment, writeRobot } from '../restore/environment.ts'
import type { Form } from '../restore/home.ts'

/** An environment, and how it is put into a library. */
export class Stock {
  readonly catalog: Catalog
  readonly blobs: readonly BlobRef[]

  constructor(readonly environment: Environment) {
    this.catalog = rebased(environment.catalog, join(GOLDEN_BASE, 'holotree'))
    this.blobs = distinctBlobs(this.catalog)
  }

  get name(): string {
    return this.environment.name
  }

  get robotFile(): string {
    return this.environment.robotFile
  }

  get rawBytes(): number {
    return this.blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  }

  /** Make the library of `home`, which must not have one. @throws {Error} the environment lacks a blob */
  install(home: string, form: Form): void {
    const roots = rootsIn(home)
    for (const ref of this.blobs) {
      const target = blobPath(roots, ref.digest)
      fs.mkdirSync(dirname(target), { recursive: true })
      const kept = form === 'gzip' ? this.environment.library.find(ref.digest) : undefined
      if (kept?.form === 'gzip') fs.copyFileSync(kept.path, target)
      else fs.writeFileSync(target, stored(this.#contentOf(ref), form))
    }
    const { blueprint, platform } = this.catalog
    const path = catalogPath(roots, catalogName(blueprint, platform))
    fs.mkdirSync(dirname(path), { recursive: true })
    fs.writeFileSync(path, encodeStoredCatalog(this.catalog))
  }

  /**
   * Alter one blob in a hundred of the library of `home`: well-formed files of the size that they should have, with a
   * wrong byte in each. Files are replaced, so that other libraries keep theirs.
   *
   * @returns how many
   */
  falsify(home: string, form: Form): number {
    const chosen = this.blobs.filter(({ sizeBytes }, index) => index % 100 === 50 && sizeBytes > 0)
    for (const ref of chosen) {
      const path = blobPath(rootsIn(home), ref.digest)
      const content = Uint8Array.from(this.#contentOf(ref))
      const at = content.byteLength - 1
      content[at] = (content[at] ?? 0) ^ 0xff
      fs.writeFileSync(`${path}.new`, stored(content, form))
      fs.renameSync(`${path}.new`, path)
    }
    return chosen.length
  }

  /** What is wrong with the library of `home`: blobs that lack or have other bytes, files that nobody asked for. */
  inspect(home: string): { lacking: number; wrong: number; strays: number } {
    const roots = rootsIn(home)
    const found = { lacking: 0, wrong: 0, strays: 0 }
    for (const { digest } of this.blobs) {
      const path = blobPath(roots, digest)
      if (!fs.existsSync(path)) found.lacking++
      else if (sha256Of(decoded(fs.readFileSync(path))) !== digest) found.wrong++
    }
    const files = fs
      .readdirSync(join(roots.hololib, 'library'), { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory()).length
    found.strays = files - (this.blobs.length - found.lacking)
    return found
  }

  #contentOf({ digest, sizeBytes }: BlobRef): Uint8Array {
    const { library } = this.environment
    const blob = library.find(digest)
    if (blob === undefined) throw new Error(`${library.roots.hololib} lacks blob ${digest}`)
    return blob.whole(sizeBytes)
  }
}

/** What rcc reads as gzip is gzip in either form. */
function stored(content: Uint8Array, form: Form): Uint8Array {
  return form === 'gzip' || beginsLikeGzip(content) ? gzipSync(content, { level: 1 }) : content
}

/** As rcc reads a blob; a file that only looks like gzip is as it is. */
function decoded(bytes: Uint8Array): Uint8Array {
  try {
    return beginsLikeGzip(bytes) ? gunzipSync(bytes) : bytes
  } catch {
    return bytes
  }
}

/** An environment of equally large blobs that no compression makes smaller; always the same. */
export async function equalBlobs(count: number, sizeBytes: number, folder: string): Promise<Environment> {
  const roots = rootsIn(folder)
  fs.mkdirSync(folder, { recursive: true })
  const robotFile = writeRobot(folder, ['python=3.11.7'], [`equal==${count}.${sizeBytes}`])
  const { blueprint } = await loadBlueprint({ robotFile, robocorpHome: folder, platform: roots.platform }, never)
  const stage = stageName(roots.userIdentity, roots.platform)
  const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16))
  const files = Array.from({ length: count }, (_, number): CatalogFile => {
    const content = noise.update(Buffer.alloc(sizeBytes))
    const digest = sha256Of(content)
    const path = blobPath(roots, digest)
    fs.mkdirSync(dirname(path), { recursive: true })
    fs.writeFileSync(path, stored(content, 'raw'))
    return { name: `file_${number}`, symlink: undefined, sizeBytes, goMode: 0o644, digest, rewrite: [] }
  })
  files.sort((left, right) => compareBytewise(left.name, right.name))
  const catalog: Catalog = {
    rcc: 'v18.18.1',
    identity: stage,
    path: join(roots.holotree, stage),
    controller: '',
    space: '',
    platform: 'linux_amd64',
    blueprint: blueprint.hash,
    lifted: true,
    tree: {
      name: '',
      symlink: undefined,
      goMode: 2 ** 31 + 0o755,
      shadow: false,
      subdirs: new Map(),
      files: new Map(files.map((file) => [file.name, file])),
    },
  }
  return { name: `${count} × ${sizeBytes}`, robotFile, catalog, library: new Library(roots) }
}
