/**
 * Threads: a second one that runs a module of ours.
 *
 * In a compiled binary modules are found by their place inside it, an absolute path that no file system has: a relative
 * one could be answered by a file that lies in the working directory.
 */

/** Where the build put the modules that are entry points of their own; undefined when run from source. */
declare const HOLO_PEER_EMBEDDED_ROOT: string | undefined

/**
 * Start a thread.
 *
 * @param module relative to `src`, without suffix; scripts/build.ts lists it as an entry point
 */
export function startThread(module: string): Worker {
  const embedded = typeof HOLO_PEER_EMBEDDED_ROOT === 'string' ? HOLO_PEER_EMBEDDED_ROOT : undefined
  const url = embedded === undefined ? new URL(`../${module}.ts`, import.meta.url).href : `${embedded}${module}.js`
  return new Worker(url)
}
