/** From an address in settings to the source that it means, and to the target of a push. */
import type { Clock } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { SourceAddress } from '../blob/source-address.ts'
import { authorizationOf, type CredentialsPlace, readCredentials } from './credentials.ts'
import { DirectoryTree } from './directory-tree.ts'
import { HttpTree } from './http-tree.ts'
import type { PushTarget } from './push-environment.ts'
import { TreePushTarget } from './push-tree.ts'
import { RateLimit } from './rate-limit.ts'
import { Rccremote } from './rccremote.ts'
import { S3Tree } from './s3-tree.ts'
import type { Substituter } from './substituter.ts'
import type { TreeStore } from './tree-store.ts'
import { TreeSubstituter } from './tree-substituter.ts'
import { WebEdge, type WebPatience } from './web-edge.ts'

/** How a source is to be treated. */
export interface SourceTerms extends WebPatience, CredentialsPlace {
  /** Undefined: no bound. */
  readonly bytesPerSecond?: number | undefined
}

export interface Surroundings {
  readonly clock: Clock
  readonly random: Random
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** Addresses that this room can open: all but those of the fleet's peers. */
export type SubstituterAddress = Exclude<SourceAddress, { readonly kind: 'peers' }>

/** @throws {HoloError} blame `input`: credentials that are named are not there, or of another form */
export function openSubstituter(address: SubstituterAddress, terms: SourceTerms, around: Surroundings): Substituter {
  if (address.kind !== 'rccremote') return new TreeSubstituter(openTree(address, terms, around))
  const name = address.label
  const authorization = readCredentials(name, terms, around.environment)
  const edge = webEdge(name, terms, new RateLimit(terms.bytesPerSecond, around.clock), around)
  return new Rccremote({ name, url: address.url, edge, authorization, random: around.random })
}

/** @throws {HoloError} as `openSubstituter`; code `push-target-invalid`: it takes nothing */
export function openPushTarget(address: SubstituterAddress, terms: SourceTerms, around: Surroundings): PushTarget {
  if (address.kind !== 'rccremote') return new TreePushTarget(openTree(address, terms, around))
  throw new HoloError(`${address.label} cannot be pushed to: an rccremote serves what rcc has built on its machine`, {
    code: 'push-target-invalid',
    blame: 'input',
    hint: 'name an https://, http://, s3:// or file:/// address',
  })
}

function openTree(
  address: Exclude<SubstituterAddress, { readonly kind: 'rccremote' }>,
  terms: SourceTerms,
  around: Surroundings,
): TreeStore {
  const credentials = readCredentials(address.label, terms, around.environment)
  const rate = new RateLimit(terms.bytesPerSecond, around.clock)
  const name = address.label
  if (address.kind === 'file') return new DirectoryTree(name, address.path, rate)
  const edge = webEdge(name, terms, rate, around)
  if (address.kind === 's3') return new S3Tree({ address, edge, credentials, resumes: terms.retries })
  const secretHeaders = credentials === undefined ? {} : { authorization: authorizationOf(credentials) }
  const locate = (object: string) => ({ url: new URL(object, address.url.href), secretHeaders })
  return new HttpTree({ name, edge, address: locate, resumes: terms.retries })
}

function webEdge(name: string, patience: WebPatience, rate: RateLimit, around: Surroundings): WebEdge {
  const { clock, random, environment } = around
  return new WebEdge({ name, patience, rate, dialFirst: !hasProxy(environment), clock, random })
}

/** Then names may be known to the proxy only, and addresses are reached by it. */
function hasProxy(environment: Surroundings['environment']): boolean {
  return ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy'].some((name) => (environment[name] ?? '') !== '')
}
