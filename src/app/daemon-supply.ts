/**
 * The fleet through the daemon of this library: it finds, fetches into the library that both share, and is done once
 * for all who wait.
 */

import { parseSha256, type Sha256Digest } from '../blob/digest.ts'
import type { FetchTotals } from '../blob/fetch-all.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { daemonBring, daemonFetch, daemonFind, daemonStatus, fromWireError } from '../daemon/control-client.ts'
import type { FetchEvent, WirePublication, WireTotals } from '../daemon/control-protocol.ts'
import { toWireError } from '../daemon/control-server.ts'
import type { CatalogSignature } from '../trust/catalog-signature.ts'
import type { Publication } from '../trust/publication.ts'
import { decodeSignatures, encodeSignature } from '../trust/signature-json.ts'
import { verifyCatalog } from '../trust/verify-catalog.ts'
import type { Machine } from './machine.ts'
import type { FetchProgress, Supply } from './supply.ts'
import type { TrustOptions } from './trust.ts'

/**
 * @param options `refresh`: it is to ask again what it remembers of its substituters
 * @returns undefined where no daemon runs
 * @throws {DaemonUnusableError} one runs, but hangs or speaks another version
 */
export async function openDaemonSupply(
  { state }: Machine,
  { allowRollback, refresh }: TrustOptions & { readonly refresh: boolean },
  signal: AbortSignal,
): Promise<Supply | undefined> {
  const socket = state.controlSocket
  if ((await daemonStatus(socket, signal)) === undefined) return undefined
  const requestFor = (catalog: CatalogName, local: Sha256Digest | undefined) => ({
    catalog,
    allowRollback,
    refresh,
    ...(local === undefined ? {} : { local }),
  })
  return {
    label: 'the daemon of this library',
    final: true,
    find: async (name, local, inner) => {
      const found = await daemonFind(socket, requestFor(name, local), inner)
      const stored = Buffer.from(found.stored, 'base64')
      const announced = parseSha256(found.sha256)
      const catalog = verifyCatalog({
        name,
        stored,
        source: found.source,
        announced,
        judge: () => publicationOf(found.published),
      })
      return { catalog, warnings: found.warnings }
    },
    fetch: async ({ name, sha256 }, totals, onProgress, inner) => {
      const follow = following(totals, onProgress)
      for await (const event of daemonFetch(socket, { catalog: name, sha256 }, inner)) follow(event)
    },
    bring: async (name, local, { totals, onFound, onProgress }, inner) => {
      const follow = following(totals, onProgress)
      for await (const event of daemonBring(socket, requestFor(name, local), inner)) {
        if (event.event === 'found') onFound({ ...event, publication: publicationOf(event.published) })
        else follow(event)
      }
    },
    [Symbol.asyncDispose]: async () => {},
  }
}

/** Takes up each event: what it counts in `totals`, beside what these hold now. The last one may throw. */
function following(totals: FetchTotals, onProgress: FetchProgress): (event: FetchEvent) => void {
  const before = { ...totals }
  return (event) => {
    Object.assign(totals, sumOf(before, event.totals))
    if (event.event === 'progress') onProgress(totals, before.blobs + event.blobs)
    if (event.event === 'failed') throw fromWireError(event.error)
  }
}

function sumOf(before: FetchTotals, { blobs, blobBytes, wireBytes, firstByteMs, ...rest }: WireTotals): FetchTotals {
  const dropped = Object.entries(rest.dropped).map(([source, error]) => [source, fromWireError(error)] as const)
  return {
    blobs: before.blobs + blobs,
    blobBytes: before.blobBytes + blobBytes,
    wireBytes: before.wireBytes + wireBytes,
    firstByteMs: before.firstByteMs ?? firstByteMs,
    bySource: new Map([...before.bySource, ...Object.entries(rest.bySource)]),
    dropped: new Map([...before.dropped, ...dropped]),
  }
}

/** The daemon is of this machine and this user: what it has judged is not judged again. */
function publicationOf({ grounds, isSigned, believed, strangers }: WirePublication): Publication {
  const decoded = (lines: readonly string[]) => decodeSignatures(lines.map((line) => Buffer.from(line)))
  const words = decoded(believed)
  return { grounds, signature: isSigned ? words[0] : undefined, believed: words, strangers: decoded(strangers) }
}

/** A publication as the daemon sends it. */
export function wirePublication({ grounds, signature, believed, strangers }: Publication): WirePublication {
  const encoded = (signatures: readonly CatalogSignature[]) =>
    signatures.map((each) => Buffer.from(encodeSignature(each)).toString())
  return { grounds, isSigned: signature !== undefined, believed: encoded(believed), strangers: encoded(strangers) }
}

/** Totals as the daemon sends them. */
export function wireTotals({ blobs, blobBytes, wireBytes, firstByteMs, bySource, dropped }: FetchTotals): WireTotals {
  return {
    blobs,
    blobBytes,
    wireBytes,
    ...(firstByteMs === undefined ? {} : { firstByteMs }),
    bySource: Object.fromEntries(bySource),
    dropped: Object.fromEntries([...dropped].map(([source, error]) => [source, toWireError(error)])),
  }
}
