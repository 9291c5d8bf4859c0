/** From an address in settings to the source that it means, and to the target of a push. */
import type { Clock } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { RateLimit } from '../base/rate-limit.ts'
import type { SourceAddress } from '../blob/source-address.ts'
import { authorizationOf, type CredentialsPlace, readCredentials } from './credentials.ts'
import { DirectoryTree } from './directory-tree.ts'
import { HttpTree } from './http-tree.ts'
import { OciRegistry } from './oci-registry.ts'
import { OciTree } from './oci-tree.ts'
import type { PushTarget } from './push-environment.ts'
import { OciPushTarget } from './push-oci.ts'
import { TreePushTarget } from './push-tree.ts'
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
  /** What all sources share that are not files; undefined: no bound. */
  readonly wanLimit?: RateLimit
}

/** Addresses that this room can open: all but those of the fleet's peers. */
export type SubstituterAddress = Exclude<SourceAddress, { readonly kind: 'peers' }>

/** @throws {HoloError} blame `input`: credentials that are named are not there, or of another form */
export function openSubstituter(address: SubstituterAddress, terms: SourceTerms, around: Surroundings): Substituter {
  const name = address.label
  switch (address.kind) {
    case 'rccremote': {
      const authorization = readCredentials(name, terms, around.environment)
      const edge = webEdge(name, terms, around)
      return new Rccremote({ name, url: address.url, edge, authorization, random: around.random })
    }
    case 'oci': {
      const edge = webEdge(name, terms, around)
      const registry = openRegistry(address, edge, terms, around)
      return new TreeSubstituter(new OciTree(registry, edge, terms.retries), 0)
    }
    default:
      return new TreeSubstituter(openTree(address, terms, around))
  }
}

/** @throws {HoloError} as `openSubstituter`; code `push-target-invalid`: it takes nothing */
export function openPushTarget(address: SubstituterAddress, terms: SourceTerms, around: Surroundings): PushTarget {
  switch (address.kind) {
    case 'rccremote':
      throw new HoloError(
        `${address.label} cannot be pushed to: an rccremote serves what rcc has built on its machine`,
        {
          code: 'push-target-invalid',
          blame: 'input',
          hint: 'name an https://, http://, s3://, oci:// or file:/// address',
        },
      )
    case 'oci':
      return new OciPushTarget(openRegistry(address, webEdge(address.label, terms, around), terms, around))
    default:
      return new TreePushTarget(openTree(address, terms, around))
  }
}

function openRegistry(
  address: Extract<SubstituterAddress, { readonly kind: 'oci' }>,
  edge: WebEdge,
  terms: SourceTerms,
  around: Surroundings,
): OciRegistry {
  return new OciRegistry({ address, edge, credentials: readCredentials(address.label, terms, around.environment) })
}

function openTree(
  address: Exclude<SubstituterAddress, { readonly kind: 'rccremote' | 'oci' }>,
  terms: SourceTerms,
  around: Surroundings,
): TreeStore {
  const credentials = readCredentials(address.label, terms, around.environment)
  const name = address.label
  if (address.kind === 'file') return new DirectoryTree(name, address.path, rateLimit(terms, around))
  const edge = webEdge(name, terms, around)
  if (address.kind === 's3') return new S3Tree({ address, edge, credentials, resumes: terms.retries })
  const secretHeaders = credentials === undefined ? {} : { authorization: authorizationOf(credentials) }
  const locate = (object: string) => ({ url: new URL(object, address.url.href), secretHeaders })
  return new HttpTree({ name, edge, address: locate, resumes: terms.retries })
}

function webEdge(name: string, terms: SourceTerms, around: Surroundings): WebEdge {
  const { clock, random, environment, wanLimit } = around
  const rate = rateLimit(terms, around)
  return new WebEdge({ name, patience: terms, rate, wanLimit, dialFirst: !hasProxy(environment), clock, random })
}

function rateLimit({ bytesPerSecond }: SourceTerms, { clock }: Surroundings): RateLimit {
  return new RateLimit(bytesPerSecond, clock)
}

/** Then names may be known to the proxy only, and addresses are reached by it. */
function hasProxy(environment: Surroundings['environment']): boolean {
  return ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy'].some((name) => (environment[name] ?? '') !== '')
}
