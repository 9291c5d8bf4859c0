/** From an address in settings to the source that it means, and to the target of a push. */
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { SourceAddress } from '../blob/source-address.ts'
import { authorizationOf, type CredentialsPlace, readCredentials } from './credentials.ts'
import { DirectoryTree } from './directory-tree.ts'
import { HttpTree } from './http-tree.ts'
import type { PushTarget } from './push-environment.ts'
import { TreePushTarget } from './push-tree.ts'
import { RateLimit } from './rate-limit.ts'
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

/** @throws {HoloError} blame `input`: credentials that are named are not there */
export function openSubstituter(address: SubstituterAddress, terms: SourceTerms, around: Surroundings): Substituter {
  return new TreeSubstituter(openTree(address, terms, around))
}

/** @throws {HoloError} as `openSubstituter` */
export function openPushTarget(address: SubstituterAddress, terms: SourceTerms, around: Surroundings): PushTarget {
  return new TreePushTarget(openTree(address, terms, around))
}

function openTree(address: SubstituterAddress, terms: SourceTerms, around: Surroundings): TreeStore {
  const credentials = readCredentials(address.label, terms, around.environment)
  const rate = new RateLimit(terms.bytesPerSecond, around.clock)
  const name = address.label
  if (address.kind === 'file') return new DirectoryTree(name, address.path, rate)
  const edge = webEdge(name, terms, rate, around)
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
