/** How a restore grows with its environment: two made-up ones, one of them larger than any real one. */
import { join } from 'node:path'
import { FileSystem } from './filesystems.ts'
import { peakBytes, removeSpace, restore } from './holo-peer.ts'
import type { Home } from './home.ts'
import { type LimitProgram, writeList } from './limit-program.ts'
import { checkTree, expectedListing } from './listing.ts'
import type { BenchFolders } from './namespace.ts'
import { packedList } from './packed-list.ts'
import { must } from './process.ts'
import { bounded, compared, type Row } from './rows.ts'
import { synthesized } from './synthetic.ts'

const FEW_FILES = 12_000
const MANY_FILES = 200_000
const PEAK_BYTES_MAX = 600e6
const SCALE_TARGET = 1.3

/** On xfs, raw and reflinked: little is done per file, so what grows is ours. */
export async function scaleRows(limit: LimitProgram, folders: BenchFolders, pairs: number): Promise<Row[]> {
  using fileSystem = new FileSystem('xfs', folders)
  const few = await Restores.of(FEW_FILES, fileSystem, limit)
  const many = await Restores.of(MANY_FILES, fileSystem, limit)
  const times = { few: [], many: [], fewLimit: [], manyLimit: [] } as Record<string, number[]>
  for (let round = 0; round < pairs; round++) {
    times.few?.push(few.ours())
    times.many?.push(many.ours())
    times.fewLimit?.push(few.limit())
    times.manyLimit?.push(many.limit())
  }
  const { few: fewTimes = [], many: manyTimes = [], fewLimit = [], manyLimit = [] } = times
  const head = { environment: 'synthetic', unit: 'µs/file' } as const
  const what = `${MANY_FILES} files / ${FEW_FILES}`
  const rows = [
    compared({ ...head, what, target: SCALE_TARGET }, manyTimes, fewTimes),
    compared({ ...head, what: `${what}, C FICLONE`, target: undefined }, manyLimit, fewLimit),
  ]
  const peak = many.peak(folders.images)
  if (peak === undefined) console.log('SKIPPED peak memory: GNU time is not installed')
  else {
    const of = { environment: 'synthetic', what: `peak memory, ${MANY_FILES} files`, unit: 'MB' } as const
    rows.push(bounded({ ...of, target: PEAK_BYTES_MAX / 1e6 }, peak / 1e6))
  }
  return rows
}

class Restores {
  private constructor(
    private readonly files: number,
    private readonly home: Home,
    private readonly fileSystem: FileSystem,
    private readonly program: LimitProgram,
    private readonly list: string,
  ) {}

  static async of(files: number, fileSystem: FileSystem, program: LimitProgram): Promise<Restores> {
    const path = join(fileSystem.path, String(files))
    const home = await synthesized(files, path)
    const options = { method: 'clone', besideLinks: 'clone', spaceName: home.spaceName('limit') } as const
    const list = writeList(join(path, 'list'), packedList(home.catalog, home.library, options))
    const restores = new Restores(files, home, fileSystem, program, list)
    const { spacePath } = restores.#restored()
    checkTree(spacePath, expectedListing(home.catalog, home.roots, home.spaceName('scale')), 'holo-peer')
    removeSpace(spacePath)
    return restores
  }

  /** Microseconds a file, of a cold restore. */
  ours(): number {
    const { ms, spacePath } = this.#restored()
    removeSpace(spacePath)
    return (ms * 1000) / this.files
  }

  limit(): number {
    this.fileSystem.settle()
    const target = join(this.fileSystem.path, 'limit')
    const { ms } = this.program.run(this.list, this.home.roots.hololib, target)
    must(['rm', '-rf', target])
    return (ms * 1000) / this.files
  }

  /** Bytes. */
  peak(scratch: string): number | undefined {
    return peakBytes(this.#request, scratch)
  }

  #restored(): ReturnType<typeof restore> {
    this.fileSystem.settle()
    return restore(this.#request)
  }

  get #request() {
    return { robocorpHome: this.home.path, robotFile: this.home.robotFile, space: 'scale', strategy: 'auto' } as const
  }
}
