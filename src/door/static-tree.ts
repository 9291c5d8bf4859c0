/**
 * The tree that the http substituter reads, and curl (docs/substituters.md): `holo-cache-info`, `catalog/<name>` with its
 * signatures, `blob/aa/bb/<digest>`, `pack/<name>`. Any web server can serve the same from files.
 *
 * A blob goes out in the form it lies in where the client takes that (`Accept-Encoding: gzip`), else decoded: so what
 * plain curl writes has the digest that it asked for. Only complete environments, and SHA-256; nothing is fetched for
 * whoever asks here, or two daemons that are each other's substituters would never stop asking.
 */
import type { Clock } from '../base/clock.ts'
import { BLOB_BYTES_MAX, BLOB_DECODED_BYTES_MAX, BLOB_WHOLE_BYTES_MAX } from '../base/limits.ts'
import { parseSha256, type Sha256Digest, sha256Of } from '../blob/digest.ts'
import { claimedBytes, gunzipExactly, gunzipStream } from '../blob/gzip.ts'
import type { StoredBlob } from '../blob/local.ts'
import { parseCatalogName } from '../catalog/names.ts'
import { encodeCacheInfo } from '../catalog/tree-names.ts'
import {
  type Content,
  contentAnswer,
  type DoorAnswer,
  type DoorRequest,
  type DoorRoute,
  methodNotAllowed,
  textAnswer,
} from './answer.ts'
import { blobChanged } from './blob-changed.ts'
import type { DoorEnvironment, DoorLibrary } from './door-library.ts'
import { Packs } from './pack.ts'

const BLOB_PATH = /^\/blob\/([0-9a-f]{2})\/([0-9a-f]{2})\/([0-9a-f]{64})$/
/** What is named by its content never changes. */
const IMMUTABLE = { 'cache-control': 'max-age=31536000, immutable' }
/** What bears a name only can be another one tomorrow. */
const REPLACEABLE = { 'cache-control': 'no-cache' }
const NO_SUCH = textAnswer(404, '404 not here\n')

/** @param clock by which packs are remembered */
export function staticTreeRoutes(library: DoorLibrary, clock: Pick<Clock, 'nowMs'>): DoorRoute {
  const packs = new Packs(library.pieces, clock)
  return (request, signal) => {
    const { method, path } = request
    const [, folder, name = '', sig] = /^\/(catalog|pack|blob)\/(.*?)(\.sig)?$/s.exec(path) ?? []
    if (path !== '/holo-cache-info' && folder === undefined) return undefined
    if (method !== 'GET' && method !== 'HEAD') return Promise.resolve(methodNotAllowed('GET, HEAD'))
    if (folder === undefined) return Promise.resolve(cacheInfo(request))
    if (folder === 'blob') return Promise.resolve(blob(request, library))
    return ofEnvironment(name, library, signal, (environment) => {
      if (sig !== undefined) return folder === 'catalog' ? signatures(request, environment, library) : undefined
      return folder === 'catalog' ? catalog(request, environment) : packs.answer(request, environment, signal)
    })
  }
}

/** @param answer undefined where there is no such thing of it */
async function ofEnvironment(
  text: string,
  library: DoorLibrary,
  signal: AbortSignal,
  answer: (environment: DoorEnvironment) => DoorAnswer | undefined,
): Promise<DoorAnswer> {
  const name = parseCatalogName(text)
  const held = name === undefined ? undefined : await library.held(name, signal)
  return (held === undefined ? undefined : answer(held)) ?? NO_SUCH
}

function cacheInfo(request: DoorRequest): DoorAnswer {
  return wholeAnswer(request, 'text/plain; charset=utf-8', Buffer.from(encodeCacheInfo()), {})
}

function catalog(request: DoorRequest, { stored }: DoorEnvironment): DoorAnswer {
  return wholeAnswer(request, 'application/gzip', stored, REPLACEABLE)
}

function signatures(request: DoorRequest, environment: DoorEnvironment, library: DoorLibrary): DoorAnswer | undefined {
  const lines = library.signatures(environment)
  return lines === undefined ? undefined : wholeAnswer(request, 'application/x-ndjson', lines, REPLACEABLE)
}

function wholeAnswer(
  request: DoorRequest,
  type: string,
  bytes: Uint8Array,
  headers: Readonly<Record<string, string>>,
): DoorAnswer {
  const part: Content['bytes'] = ({ from, end }) => bytes.subarray(from, end)
  return contentAnswer(request, { type, tag: sha256Of(bytes), sizeBytes: bytes.byteLength, headers, bytes: part })
}

function blob(request: DoorRequest, library: DoorLibrary): DoorAnswer {
  const [, first, second, text = ''] = BLOB_PATH.exec(request.path) ?? []
  const digest = parseSha256(text)
  if (digest === undefined || !digest.startsWith(`${first}${second}`)) return NO_SUCH
  using stored = library.stored(digest)
  if (stored === undefined) return NO_SUCH
  const headers = { ...IMMUTABLE, vary: 'accept-encoding' }
  const type = 'application/octet-stream'
  if (stored.encoding === 'gzip' && !acceptsGzip(request.header('accept-encoding'))) {
    return decodedBlob(request, digest, stored, library, headers)
  }
  const { encoding, sizeBytes } = stored
  // Read before the file is closed, or from one that is opened again.
  const whole = sizeBytes <= BLOB_WHOLE_BYTES_MAX ? stored.whole() : undefined
  return contentAnswer(request, {
    type,
    // The same content can be packed in many ways.
    tag: encoding === 'gzip' ? `${digest}-gzip-${sizeBytes}` : digest,
    sizeBytes,
    headers: encoding === 'gzip' ? { ...headers, 'content-encoding': 'gzip' } : headers,
    bytes: ({ from, end }) =>
      whole?.subarray(from, end) ?? reopened(digest, { encoding, sizeBytes }, library, from, end),
  })
}

/** A blob that lies as gzip, decoded. Only of a small one the length is known before it is sent. */
function decodedBlob(
  request: DoorRequest,
  digest: Sha256Digest,
  { sizeBytes, whole }: StoredBlob,
  library: DoorLibrary,
  headers: Readonly<Record<string, string>>,
): DoorAnswer {
  const type = 'application/octet-stream'
  if (sizeBytes <= BLOB_WHOLE_BYTES_MAX) {
    const stored = whole()
    const claimed = claimedBytes(stored)
    if (claimed <= BLOB_DECODED_BYTES_MAX) {
      const content = gunzipExactly(stored, claimed)
      const part: Content['bytes'] = ({ from, end }) => content.subarray(from, end)
      return contentAnswer(request, { type, tag: digest, sizeBytes: claimed, headers, bytes: part })
    }
  }
  const typed = { ...headers, 'content-type': type }
  if (request.method === 'HEAD') return { status: 200, headers: typed }
  const stored = reopened(digest, { encoding: 'gzip', sizeBytes }, library, 0, sizeBytes)
  return { status: 200, headers: typed, body: gunzipStream(stored, BLOB_BYTES_MAX) }
}

/** Bytes of a file that has to be as it was when the answer was begun. */
async function* reopened(
  digest: Sha256Digest,
  wanted: Pick<StoredBlob, 'encoding' | 'sizeBytes'>,
  library: DoorLibrary,
  from: number,
  end: number,
): AsyncGenerator<Uint8Array> {
  using stored = library.stored(digest)
  if (stored === undefined || stored.encoding !== wanted.encoding || stored.sizeBytes !== wanted.sizeBytes) {
    throw blobChanged(`Blob ${digest}`)
  }
  let at = from
  for await (const chunk of stored.bytes(from)) {
    yield chunk.subarray(0, end - at)
    at += chunk.byteLength
    if (at >= end) return
  }
}

function acceptsGzip(header: string | undefined): boolean {
  const qualities = new Map(
    (header ?? '').split(',').map((each) => {
      const [name = '', quality = ''] = each.toLowerCase().split(';')
      return [name.trim(), Number(/^\s*q=([\d.]+)\s*$/.exec(quality)?.[1] ?? 1)] as const
    }),
  )
  return (qualities.get('gzip') ?? qualities.get('*') ?? 0) > 0
}
