/** `limit.c`, compiled: the least that a restore can cost here. */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { measured, must, type Run } from './process.ts'

/** As issue and limits say: more gain nothing on two cores. */
export const LIMIT_THREADS = 2

const SOURCE = join(import.meta.dir, 'limit.c')
const OPTIONS = ['-O2', '-Wall', '-Wextra', '-Werror', SOURCE, '-lpthread']

export class LimitProgram {
  private constructor(
    readonly path: string,
    /** `libdeflate 1.14`: what decodes. */
    readonly decoder: string,
  ) {}

  /**
   * Compile into `folder`: with libdeflate where its headers are, else with zlib, which is slower.
   *
   * @returns undefined where there is no gcc
   * @throws {Error} it does not compile with zlib either
   */
  static compiled(folder: string): LimitProgram | undefined {
    if (Bun.which('gcc') === null) return undefined
    const path = join(folder, 'limit')
    const fast = Bun.spawnSync(['gcc', '-DWITH_LIBDEFLATE', ...OPTIONS, '-ldeflate', '-o', path])
    if (fast.exitCode !== 0) must(['gcc', ...OPTIONS, '-lz', '-o', path])
    return new LimitProgram(path, must([path, '--version']).stdout.trim())
  }

  /**
   * @param list from `packedList`, in a file
   * @param library the hololib whose blobs it takes
   * @param target is made
   */
  run(list: string, library: string, target: string): Run {
    return measured([this.path, String(LIMIT_THREADS), list, library, target])
  }
}

/** Put a list where `LimitProgram.run` finds it. */
export function writeList(path: string, list: Uint8Array): string {
  fs.writeFileSync(path, list)
  return path
}
