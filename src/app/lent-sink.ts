/**
 * Where the pieces of one fetch come to rest: a sink of its own, or one that is lent and outlives it, so that what has come of
 * a large blob is not lost when another source goes on with it.
 */
import { piecesOf } from '../catalog/pieces.ts'
import type { Library } from '../store/library.ts'
import { LibraryPieceSink } from '../store/piece-sink.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import type { PieceExchange } from './piece-exchange.ts'

/** A sink for one environment. @param exchange keeps the frames that prove right, for those who ask for them */
export function sinkOf(
  library: Library,
  { catalog, sha256 }: VerifiedCatalog,
  exchange: PieceExchange | undefined,
): LibraryPieceSink {
  const passesOn = exchange?.passesOn === true
  return new LibraryPieceSink(
    library,
    piecesOf(catalog),
    passesOn ? { onFrame: (piece, frame) => exchange.keepFrame(sha256, piece, frame) } : {},
  )
}

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
