/** The hololib.zip beside a robot.yaml, as rcc's `robot.yaml` bundles carry it (formats.md §8, §12). */
import type { Library } from '../store/library.ts'
import { ZipSource } from '../store/zip-source.ts'
import { ownWord } from '../trust/publication.ts'
import { verifyCatalog } from '../trust/verify-catalog.ts'
import { fetchEnvironment } from './fetch-environment.ts'
import type { Machine } from './machine.ts'
import type { Supply } from './supply.ts'

/** @param path of the zip @throws {HoloError} blame `input`: it is no usable zip */
export async function openZipSupply(path: string, { state }: Machine, library: Library): Promise<Supply> {
  const zip = await ZipSource.open(path)
  const sources = { graceMs: 0, list: () => [zip], subscribe: () => () => {}, drop: () => {} }
  return {
    label: path,
    final: false,
    find: async (name) => {
      const stored = await zip.catalog(name)
      if (stored === undefined) return undefined
      return {
        catalog: verifyCatalog({ name, stored, source: path, announced: undefined, judge: ownWord }),
        warnings: [],
      }
    },
    fetch: (catalog, totals, onProgress, signal) => {
      const place = { library, stateDirectory: state.directory, sourcesFor: () => sources, exchange: undefined }
      return fetchEnvironment(place, catalog, totals, onProgress, signal)
    },
    [Symbol.asyncDispose]: () => zip[Symbol.asyncDispose](),
  }
}
