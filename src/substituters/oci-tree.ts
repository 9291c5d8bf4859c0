/**
 * The static tree in an OCI repository, for reading: a catalog's name is a tag, its manifest names the layers that are
 * its catalog, pack and signatures. Blobs lie in packs only.
 */
import { MANIFEST_BYTES_MAX } from '../base/substituter-limits.ts'
import { parseCatalogName } from '../catalog/names.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { type TreeName, treeCatalogName, treePackName, treeSignaturesName } from '../catalog/tree-names.ts'
import { collect } from './collect.ts'
import { HttpTree } from './http-tree.ts'
import { decodeManifest, MANIFEST_TYPE, type OciBlob, type OciEnvironment } from './oci-manifest.ts'
import type { OciRegistry } from './oci-registry.ts'
import { SourceFailedError } from './source-failed-error.ts'
import type { ReadOptions, TreeObject, TreeReader } from './tree-store.ts'
import type { WebEdge } from './web-edge.ts'

export class OciTree implements TreeReader {
  readonly name: string
  readonly #http: HttpTree
  /** The manifest that was read last: a catalog, its signatures and its pack are asked for one after the other. */
  #last: { readonly name: CatalogName; readonly environment: Promise<OciEnvironment | undefined> } | undefined

  constructor(
    private readonly registry: OciRegistry,
    edge: WebEdge,
    resumes: number,
  ) {
    this.name = registry.name
    this.#http = new HttpTree({
      name: this.name,
      edge,
      resumes,
      address: (path) => ({ ...registry.address(path), headers: { accept: `${MANIFEST_TYPE}, */*` } }),
    })
  }

  async has(names: readonly TreeName[], signal: AbortSignal): Promise<ReadonlySet<TreeName>> {
    const found = await Promise.all(names.map((name) => this.#layerOf(name, signal)))
    return new Set(names.filter((_name, index) => found[index] !== undefined))
  }

  async read(name: TreeName, options: ReadOptions, signal: AbortSignal): Promise<TreeObject | undefined> {
    const layer = await this.#layerOf(name, signal)
    if (layer === undefined) return undefined
    const { range } = options
    if (range !== undefined && range.offset + range.bytes > layer.sizeBytes) {
      throw new SourceFailedError(`${name} of ${this.name} is shorter than it has to be`, { code: 'source-short' })
    }
    return this.#authorized(`blobs/${layer.digest}`, { ...options, encoded: false }, signal)
  }

  async #layerOf(name: TreeName, signal: AbortSignal): Promise<OciBlob | undefined> {
    const catalog = parseCatalogName(/^(?:catalog|pack)\/(.+?)(?:\.sig)?$/.exec(name)?.[1] ?? '')
    if (catalog === undefined) return undefined
    const environment = await this.#environmentOf(catalog, signal)
    switch (name) {
      case treeCatalogName(catalog):
        return environment?.catalog
      case treePackName(catalog):
        return environment?.pack
      case treeSignaturesName(catalog):
        return environment?.signatures
      default:
        return undefined
    }
  }

  /** Read once for what is asked together; anew for each catalog that is looked for. */
  #environmentOf(name: CatalogName, signal: AbortSignal): Promise<OciEnvironment | undefined> {
    if (this.#last?.name === name) return this.#last.environment
    const environment = this.#readManifest(name, signal)
    this.#last = { name, environment }
    const forget = () => {
      if (this.#last?.environment === environment) this.#last = undefined
    }
    // A miss is remembered elsewhere, and for a while only.
    environment.then((found) => found ?? forget(), forget)
    return environment
  }

  async #readManifest(name: CatalogName, signal: AbortSignal): Promise<OciEnvironment | undefined> {
    const object = await this.#authorized(`manifests/${name}`, {}, signal)
    if (object === undefined) return undefined
    const what = `The manifest ${name} of ${this.name}`
    const environment = decodeManifest(await collect(object.bytes, MANIFEST_BYTES_MAX, what))
    if (environment !== undefined) return environment
    throw new SourceFailedError(`${what} is not that of an environment`, { code: 'source-invalid' })
  }

  async #authorized(path: string, options: ReadOptions, signal: AbortSignal): Promise<TreeObject | undefined> {
    try {
      return await this.#http.read(path, options, signal)
    } catch (error) {
      if (!(error instanceof SourceFailedError) || error.code !== 'source-refused') throw error
      await this.registry.authenticate('pull', signal)
      return this.#http.read(path, options, signal)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http[Symbol.asyncDispose]()
  }
}
