/**
 * Settings of the runtime that a process can be given only by its environment, before it starts: so it starts itself
 * anew, which takes some 7 ms.
 *
 * Figures are of 2 cores and 240 MB in 6,257 blobs. Nobody inherits them: holo-peer starts no other programs.
 */
import { isCompiled } from './worker-entry.ts'

/**
 * Of a daemon that serves 8. Memory that is free goes back to the system after 10 ms, not after a second: its peak is 15 MB
 * lower. At once would make it 30, but cost what is fetched through a daemon a tenth of its time. The collector waits for
 * less garbage where it takes the machine for a small one: another 10 MB.
 */
const SMALL = { MIMALLOC_PURGE_DELAY: '10', BUN_JSC_forceRAMSize: `${512 * 1024 * 1024}` }
/**
 * Of a daemon: only what runs for long is compiled by the upper tiers of the JIT. With the runtime's own thresholds, which
 * are a hundredth of these, its first fetch took a twelfth longer. rcc's door is as fast as it was, a crowd of eight over
 * slow links as well, for 7 % more of the processor.
 */
const LATE_JIT = {
  BUN_JSC_thresholdForOptimizeAfterWarmUp: '100000',
  BUN_JSC_thresholdForOptimizeAfterLongWarmUp: '100000',
}
/**
 * A fetch by a command is over before what these tiers compile has paid for itself: they were a tenth of it. A restore
 * mostly has nothing to fetch, and would lose more than it gains; a daemon runs for long: eight that fetched over slow links
 * took 58 % of two cores without them, 50 % with them.
 */
const NO_LATE_JIT = { BUN_JSC_useDFGJIT: '0' }
/**
 * The collector comes after 64 MiB in each thread, not after 8. A piece that is decoded counts as 1 MiB, though its memory is
 * freed at once, so that it came 50 times in a fetch, for 31 ms of 770. The peak stays where it was, 143 MB.
 */
const FEW_COLLECTIONS = { BUN_JSC_largeHeapSize: `${64 * 1024 * 1024}` }

const OPTIONS = new Map<string, Readonly<Record<string, string>>>([
  ['daemon', { ...SMALL, ...LATE_JIT }],
  ['fetch', { ...NO_LATE_JIT, ...FEW_COLLECTIONS }],
])

/**
 * What the environment lacks for a command line. What is set there already is left as it is, by whomever.
 *
 * @param words the command line, without the program
 * @returns variables to add; undefined where there are none, as in a process that was started anew
 */
export function optionsLacking(
  words: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> | undefined {
  const command = words.find((word) => !word.startsWith('-')) ?? ''
  const lacking = Object.entries(OPTIONS.get(command) ?? {}).filter(([name]) => environment[name] === undefined)
  return lacking.length === 0 ? undefined : Object.fromEntries(lacking)
}

/**
 * Replace this process by itself with the options of its command, as the same process for everybody else; does nothing
 * where it has them, where it runs from a checkout, or where the system does not let it.
 *
 * @param argv as in `process.argv`
 */
export function takeRuntimeOptions(argv: readonly string[]): void {
  if (!isCompiled || process.platform === 'win32') return
  const words = argv.slice(2)
  const lacking = optionsLacking(words, process.env)
  if (lacking === undefined) return
  try {
    process.execve?.(process.execPath, [process.execPath, ...words], { ...process.env, ...lacking })
  } catch {
    // They only make it lighter.
  }
}
