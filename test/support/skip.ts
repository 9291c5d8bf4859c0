/** Skipping aloud: a test that cannot run here says why, and where nothing may be skipped, it fails. */
import { test } from 'bun:test'

/**
 * `test` where `condition` holds. Else a test of the same name that is counted as skipped, with `reason` on stderr; or,
 * where HOLO_PEER_TEST_NO_SKIP=1, one that fails.
 *
 * @param reason what is missing, as a sentence without a full stop
 */
export function skipUnless(condition: boolean, reason: string): typeof test {
  if (condition) return test
  if (process.env.HOLO_PEER_TEST_NO_SKIP === '1') {
    return ((name: string) => {
      test(name, () => {
        throw new Error(`may not be skipped here: ${reason}`)
      })
    }) as unknown as typeof test
  }
  return skipping(reason)
}

/**
 * `test` where `condition` holds, else one that is skipped aloud, also where HOLO_PEER_TEST_NO_SKIP=1: for what no
 * build can bring along, such as the real rcc.
 *
 * @param reason what is missing, as a sentence without a full stop
 */
export function skipForgivenUnless(condition: boolean, reason: string): typeof test {
  return condition ? test : skipping(`${reason} (forgiven everywhere)`)
}

function skipping(reason: string): typeof test {
  return ((name: string, work: () => void) => {
    process.stderr.write(`SKIPPED ${name}: ${reason}\n`)
    test.skip(name, work)
  }) as unknown as typeof test
}
