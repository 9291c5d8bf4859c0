/** What several tests of the catalog room share. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { HoloError } from '../../src/base/errors.ts'

export const golden = join(import.meta.dir, '..', 'golden')

/** Directories of the nine small golden environments. */
export const smallRobots: readonly string[] = ['gzip', 'nocompress', 'darwin_arm64'].flatMap((kind) =>
  ['robot1', 'robot2', 'robot3'].map((robot) => join(golden, 'small', kind, robot)),
)

/** Runs of a property: few by default, multiplied by FUZZ_RUNS. */
export function numRuns(runs: number): number {
  return runs * Math.max(1, Number(process.env.FUZZ_RUNS ?? 1))
}

export function readText(...parts: string[]): string {
  return readFileSync(join(...parts), 'utf8')
}

/** The HoloError that `work` throws; anything else fails the test. */
export function thrownBy(work: () => unknown): HoloError {
  try {
    work()
  } catch (error) {
    if (error instanceof HoloError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}
