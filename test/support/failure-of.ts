import { HoloError } from '../../src/base/errors.ts'

/** What a promise was rejected with; one that is not is a failed test. */
export async function failureOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
  } catch (error) {
    return error
  }
  throw new Error('it did not fail')
}

/** The code of what `work` threw; 'none' where it threw nothing. Another error than ours is thrown on. */
export function codeOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (error instanceof HoloError) return error.code
    throw error
  }
  return 'none'
}
