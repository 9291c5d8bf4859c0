/**
 * The protocol of `rccremote` (formats.md §14), so that an unmodified rcc with RCC_REMOTE_ORIGIN gets what this machine
 * has or can fetch.
 *
 * The reference builds a temporary zip before its first byte and names it by the want list alone; here nothing is kept
 * between requests, so answers cannot be mixed up. It packs gzip blobs once more; here they go as they lie: rcc writes
 * what it unpacks to the blob's place, and reads raw blobs and gzip ones (§6).
 */
import { never } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import { roomLogger } from '../base/log.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import { parseCatalogName } from '../catalog/names.ts'
import { type DoorAnswer, type DoorRequest, type DoorRoute, methodNotAllowed } from './answer.ts'
import type { DoorEnvironment, DoorLibrary } from './door-library.ts'
import { lastElement, wantedLines } from './want-list.ts'
import { zipAnswer } from './zip-answer.ts'

const log = roomLogger('door')
const NOT_FOUND: DoorAnswer = {
  status: 404,
  headers: { 'content-type': 'text/plain; charset=utf-8' },
  body: '404 not found, sorry',
}

/**
 * `/parts/`, `/delta/` and `/force/`.
 *
 * @param identity a request that bears it in `X-Rcc-Random-Identity` is one of our own that came back
 */
export function rccremoteRoutes(library: DoorLibrary, identity: string): DoorRoute {
  return (request, signal) => {
    const { method, path } = request
    const [, verb, rest] = /^\/(parts|delta|force)(\/.*)?$/s.exec(path) ?? []
    if (verb === undefined) return undefined
    if (rest === undefined) return Promise.resolve({ status: 307, headers: { location: `${path}/` } })
    const name = lastElement(rest.replace(/\/+$/, ''))
    if (verb === 'force') return force(name, library)
    const allowed = verb === 'parts' ? 'GET' : 'POST'
    if (method !== allowed) return Promise.resolve(methodNotAllowed(allowed))
    if (request.header('x-rcc-random-identity') === identity) return Promise.resolve({ status: 409 })
    return verb === 'parts' ? parts(name, library, signal) : delta(name, request, library, signal)
  }
}

/** Every digest of the environment, sorted, without a final newline. */
async function parts(text: string, library: DoorLibrary, signal: AbortSignal): Promise<DoorAnswer> {
  const environment = await environmentNamed(text, library, signal)
  if (environment === undefined) return NOT_FOUND
  return { status: 200, headers: { 'content-type': 'text/plain' }, body: [...environment.digests].join('\n') }
}

/** What the body lists of the environment's blobs, in its order, and the catalog last. */
async function delta(
  text: string,
  request: DoorRequest,
  library: DoorLibrary,
  signal: AbortSignal,
): Promise<DoorAnswer> {
  const environment = await environmentNamed(text, library, signal)
  if (environment === undefined) return NOT_FOUND
  const wanted = new Set<Sha256Digest>()
  for await (const lines of wantedLines(request.body())) {
    for (const line of lines) {
      const digest = lastElement(line) as Sha256Digest
      if (environment.digests.has(digest)) wanted.add(digest)
    }
  }
  const contents = { digests: [...wanted], environments: [environment] }
  const { answer, absent } = await zipAnswer(request, contents, library, signal)
  // A blob has gone since the environment was whole. The reference fails in the same way.
  return absent > 0 ? { status: 500 } : answer
}

/** Fetch it, whoever wants it: the answer does not wait. */
async function force(text: string, library: DoorLibrary): Promise<DoorAnswer> {
  const name = parseCatalogName(text)
  if (name !== undefined) {
    library.bring(name, never).catch((error: unknown) => log.warning`${name} was not fetched: ${messageOf(error)}`)
  }
  return { status: 200 }
}

async function environmentNamed(
  text: string,
  library: DoorLibrary,
  signal: AbortSignal,
): Promise<DoorEnvironment | undefined> {
  const name = parseCatalogName(text)
  return name === undefined ? undefined : library.bring(name, signal)
}
