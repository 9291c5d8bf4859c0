/**
 * A fleet: a name for people, a 32-byte secret for machines, and where to look for its members.
 *
 * Pure values. The topic that members meet under tells nothing of the secret, and knowing it proves nothing.
 */
import b4a from 'b4a'
import { HoloError } from '../base/errors.ts'
import { parseHostPort } from '../base/host-port.ts'
import { BOOTSTRAPS_MAX } from '../base/limits.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { keyedHash } from './hash.ts'

export interface Fleet {
  /** 1 to 64 letters, digits, `.`, `_`, `-`; for people only. */
  readonly name: string
  /** 32 bytes. */
  readonly secret: Uint8Array
  /** `host:port` of DHT bootstrap nodes, in the order of preference. */
  readonly bootstraps: readonly string[]
  /** Secrets before this one that count until their time is over, the latest first. */
  readonly previous?: readonly PreviousSecret[]
}

export interface PreviousSecret {
  /** 32 bytes. */
  readonly secret: Uint8Array
  /** Wall clock, milliseconds since 1970. */
  readonly untilMs: number
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
/** The name of our protocol as members meet for it; it takes part in the topic. */
export const PROTOCOL_NAME = 'holo-peer/1'

export function isFleetName(text: string): boolean {
  return NAME.test(text)
}

/**
 * @param secret 32 random bytes
 * @throws {HoloError} blame `input`: the name or a bootstrap has the wrong form, or there are too many of them
 */
export function createFleet(name: string, secret: Uint8Array, bootstraps: readonly string[] = []): Fleet {
  if (!isFleetName(name)) {
    throw new HoloError(`"${name.slice(0, 80)}" cannot be the name of a fleet`, {
      code: 'fleet-name-invalid',
      blame: 'input',
      hint: 'use 1 to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit',
    })
  }
  if (secret.byteLength !== 32) throw new TypeError('A fleet secret has 32 bytes')
  return { name, secret, bootstraps: mergeBootstraps([], bootstraps) }
}

/**
 * `known`, then what `added` has beside it.
 *
 * @throws {HoloError} blame `input`: one of `added` is not `host:port`, or there would be more than 64
 */
export function mergeBootstraps(known: readonly string[], added: readonly string[]): readonly string[] {
  for (const text of added) {
    if (parseHostPort(text) !== undefined) continue
    throw new HoloError(`"${text.slice(0, 80)}" is not the address of a bootstrap`, {
      code: 'bootstrap-malformed',
      blame: 'input',
      hint: 'write it as host:port, like 10.0.0.7:49737',
    })
  }
  const merged = [...new Set([...known, ...added])]
  if (merged.length > BOOTSTRAPS_MAX) {
    throw new HoloError(`A fleet can have ${BOOTSTRAPS_MAX} bootstraps at most, this would make ${merged.length}`, {
      code: 'bootstraps-too-many',
      blame: 'input',
      hint: 'a few per site are enough: name only machines that are always on',
    })
  }
  return merged
}

/** @returns 32 bytes: where members of a fleet with this platform (`linux_amd64`) meet */
export function fleetTopic(secret: Uint8Array, platform: string): Uint8Array {
  return keyedHash('topic', secret, [b4a.from(PROTOCOL_NAME), b4a.from(platform)])
}

/** @returns 32 bytes: where members of a fleet announce that they hold a catalog which few hold */
export function catalogTopic(secret: Uint8Array, name: CatalogName): Uint8Array {
  return keyedHash('topic', secret, [b4a.from(PROTOCOL_NAME), b4a.from(name)])
}

/** Bytes of a beacon tag: two fleets have the same one by chance once in 2^64. */
export const BEACON_TAG_BYTES = 8

/**
 * What a daemon's beacon carries for one fleet: members recognise it, others learn nothing of the fleet from it.
 *
 * It differs with every nonce, so nobody else can tell whether two machines belong to one fleet; and no clock takes part.
 *
 * @param nonce 16 random bytes, those of the beacon
 * @param port UDP port that the beacon announces
 */
export function beaconTag(secret: Uint8Array, nonce: Uint8Array, port: number): Uint8Array {
  return keyedHash('beacon', secret, [nonce, b4a.from([port & 0xff, port >> 8])]).subarray(0, BEACON_TAG_BYTES)
}
