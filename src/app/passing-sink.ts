/**
 * What comes from a substituter is told to peers, and served to them, as soon as it is proved: the fleet gets it from this
 * machine while it is being brought.
 */
import { roomLogger } from '../base/log.ts'
import { type Digest, sha256Of } from '../blob/digest.ts'
import type { PieceSink } from '../blob/pieces.ts'
import type { BlobRef, BlobStore } from '../blob/source.ts'
import { PieceTally } from '../catalog/piece-tally.ts'
import type { LibraryPieceSink } from '../store/piece-sink.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import type { PassedOn, PieceExchange } from './piece-exchange.ts'

const log = roomLogger('app')

export interface PassingSink extends Disposable, Pick<PassedOn, 'handOver'> {
  /** In place of the sink that it stands before. */
  readonly sink: PieceSink & { readonly store: BlobStore }
  /** Judge ranges by this table, so that they are passed on before their blob is whole. @throws as `LibraryPieceSink.setTable` */
  readonly onTable: (table: Uint8Array) => Promise<void>
}

/**
 * @param missing blobs that the library lacks
 * @returns undefined where nobody gets anything from here
 */
export function passOn(
  exchange: PieceExchange | undefined,
  catalog: VerifiedCatalog,
  sink: LibraryPieceSink,
  {
    missing,
    source,
    signal,
  }: { readonly missing: readonly BlobRef[]; readonly source: string; readonly signal: AbortSignal },
): PassingSink | undefined {
  const { name, publication } = catalog
  const { pieces } = sink
  const tally = new PieceTally(
    pieces,
    missing.map(({ digest }) => digest),
  )
  const holding = exchange?.begin(catalog, sink, tally.whole())
  if (holding === undefined) return undefined
  // Ranges of blobs that another source began with.
  holding.add([...pieces.pieces.keys()].filter((piece) => sink.placeOf(piece) !== undefined))
  const came = (digest: Digest): void => {
    const whole = tally.came(digest)
    sink.hold(whole)
    holding.add(whole)
  }
  return {
    sink: {
      put: async (piece, wire, from, inner) => {
        const receipt = await sink.put(piece, wire, from, inner)
        if (receipt.verdict.verdict === 'stored') holding.add([piece, ...receipt.proved])
        for (const [liar, error] of receipt.liars) if (liar !== from) exchange?.drop(liar, error)
        return receipt
      },
      store: {
        has: (digest) => sink.store.has(digest),
        put: async (ref, stream, inner) => {
          await sink.store.put(ref, stream, inner)
          came(ref.digest)
        },
      },
      [Symbol.asyncDispose]: async () => {},
    },
    onTable: async (table) => {
      const signed = publication.signature?.statement.pieceTable
      if (signed !== undefined && sha256Of(table) !== signed) {
        log.warning`the piece table of ${name} that ${source} tells is not the one that is signed, so it is done without`
        return
      }
      holding.add(await sink.setTable(table, source, signal))
    },
    handOver: () => holding.handOver(),
    [Symbol.dispose]: () => holding[Symbol.dispose](),
  }
}
