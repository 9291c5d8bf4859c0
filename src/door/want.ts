/**
 * One round trip for our own clients: a want list goes up, and what it names comes down as one stream.
 *
 * `POST /want`, one wish a line: a SHA-256 digest (that blob), `environment NAME` (its catalog and all its blobs),
 * `less NAME` (but no blob of that environment, which the client has). The answer is a zip as `/delta/` sends it: sizes
 * stand before the members, so it can be unpacked as it comes, and rcc can import it. Blobs that are not held are left
 * out, and so is what a `less` names that is not held: then more comes down.
 */
import { DOOR_WANT_BLOBS_MAX } from '../base/door-limits.ts'
import { parseSha256, type Sha256Digest } from '../blob/digest.ts'
import { parseCatalogName } from '../catalog/names.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { type DoorAnswer, type DoorRequest, type DoorRoute, methodNotAllowed, textAnswer } from './answer.ts'
import type { DoorEnvironment, DoorLibrary } from './door-library.ts'
import { lastElement, wantedLines } from './want-list.ts'
import { zipAnswer } from './zip-answer.ts'

/** Environments that one list may name. */
const ENVIRONMENTS_MAX = 16

export function wantRoute(library: DoorLibrary): DoorRoute {
  return (request, signal) => {
    if (request.path !== '/want') return undefined
    if (request.method !== 'POST') return Promise.resolve(methodNotAllowed('POST'))
    return want(request, library, signal)
  }
}

async function want(request: DoorRequest, library: DoorLibrary, signal: AbortSignal): Promise<DoorAnswer> {
  const blobs = new Set<Sha256Digest>()
  const named: { readonly verb: string; readonly name: CatalogName }[] = []
  for await (const lines of wantedLines(request.body())) {
    for (const line of lines) {
      const [, verb, text = ''] = /^(environment|less) +(\S+)$/.exec(line) ?? []
      const digest = verb === undefined ? parseSha256(lastElement(line)) : undefined
      const name = parseCatalogName(text)
      if (digest !== undefined) blobs.add(digest)
      else if (verb !== undefined && name !== undefined) named.push({ verb, name })
      else return malformed(line)
      if (blobs.size > DOOR_WANT_BLOBS_MAX) return tooMany(DOOR_WANT_BLOBS_MAX, 'blobs')
      if (named.length > ENVIRONMENTS_MAX) return tooMany(ENVIRONMENTS_MAX, 'environments')
    }
  }
  const environments = new Map<CatalogName, DoorEnvironment>()
  const less: DoorEnvironment[] = []
  for (const { verb, name } of named) {
    const environment = await library.held(name, signal)
    if (environment === undefined && verb === 'environment') {
      return textAnswer(404, `404 the environment ${name} is not here\n`)
    }
    if (environment !== undefined && verb === 'environment') environments.set(name, environment)
    else if (environment !== undefined) less.push(environment)
  }
  const digests = new Set(blobs)
  for (const environment of environments.values()) {
    for (const digest of environment.digests) if (!less.some((each) => each.digests.has(digest))) digests.add(digest)
  }
  const contents = { digests: [...digests], environments: [...environments.values()] }
  return (await zipAnswer(request, contents, library, signal)).answer
}

function malformed(line: string): DoorAnswer {
  const shown = line.slice(0, 100).replace(/[^\x20-\x7e]/g, '?')
  return textAnswer(400, `400 not a digest, nor \`environment NAME\`, nor \`less NAME\`: ${shown}\n`)
}

function tooMany(most: number, what: string): DoorAnswer {
  return textAnswer(413, `413 at most ${most} ${what} in one list\n`)
}
