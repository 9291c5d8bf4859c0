/**
 * Where the pieces of one fetch come to rest: a sink of its own, or one that is lent and outlives it, so that what has come of
 * a large blob is not lost when another source goes on with it.
 */
import type { LibraryPieceSink } from '../store/piece-sink.ts'

/** Gives the sink of one operation, the same at every call. */
export type SinkLender = () => LibraryPieceSink

/** @param lend undefined: `make` one, which ends with what is returned */
export function sinkFor(
  lend: SinkLender | undefined,
  make: SinkLender,
): { readonly sink: LibraryPieceSink } & AsyncDisposable {
  const sink = lend === undefined ? make() : lend()
  return {
    sink,
    [Symbol.asyncDispose]: async () => {
      if (lend === undefined) await sink[Symbol.asyncDispose]()
    },
  }
}
