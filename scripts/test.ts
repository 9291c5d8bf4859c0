/**
 * `bun scripts/test.ts [bun test's arguments]`: run the tests and end with one plain line of counts.
 *
 * Fifty hosts on a slow machine take 100 s where bun gives a test 5; a hung one still ends.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// The long run (FUZZ_RUNS above 1) takes minutes for a single property.
const TIMEOUT_MS = Number(process.env.FUZZ_RUNS ?? 1) > 1 ? 1_800_000 : 300_000
const folder = mkdtempSync(join(tmpdir(), 'holo-tests-'))
const report = join(folder, 'junit.xml')
const child = Bun.spawn(
  [
    process.execPath,
    'test',
    '--reporter=junit',
    `--reporter-outfile=${report}`,
    `--timeout=${TIMEOUT_MS}`,
    ...process.argv.slice(2),
  ],
  { stdio: ['inherit', 'inherit', 'inherit'] },
)
const exitCode = await child.exited

try {
  const suites = /<testsuites\b[^>]*>/.exec(readFileSync(report, 'utf8'))?.[0] ?? ''
  const count = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(suites)?.[1] ?? 0)
  const failed = count('failures') + count('errors')
  const skipped = count('skipped')
  console.log(`${count('tests') - failed - skipped} passed, ${failed} failed, ${skipped} skipped`)
} finally {
  rmSync(folder, { recursive: true })
}
process.exit(exitCode)
