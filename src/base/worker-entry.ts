/**
 * Where the code of a Worker lies: beside its callers in a checkout, inside the executable once compiled.
 *
 * A compiled binary looks up a relative path in the working directory, where a robot may have put anything, and
 * `import.meta.url` is then the path on the machine that built it. So the path is made from the root of the embedded
 * files; scripts/build.ts embeds each entry there. An entry that is missing is an error, never another file.
 */
import { dirname } from 'node:path'

/** Embedded files stand here: on unix, and on windows. */
const EMBEDDED = /^(?:\/\$bunfs\/|[A-Z]:[\\/]~BUN[\\/])/

/** Whether this is the compiled binary. */
export const isCompiled = EMBEDDED.test(Bun.main)

/** Every Worker of holo-peer, as its path below src without extension. */
export type WorkerName = 'restore/place-thread' | 'store/ingest-worker' | 'store/piece-worker' | 'store/recode-worker'

/** @returns what `new Worker` of node:worker_threads takes */
export function workerEntry(name: WorkerName): URL | string {
  return isCompiled ? `${dirname(Bun.main)}/${name}.js` : new URL(`../${name}.ts`, import.meta.url)
}
