/**
 * Changing the secret of a fleet while it works: for a time the old one counts beside the new one.
 *
 * Pure. The invite of the new secret shows, to whoever holds the old one, that it takes its place and until when the old
 * one counts: so joining with it is a change of secret, and no second fleet. The new secret is never sent to those who
 * prove the old one: whoever is to be shut out has that too.
 */
import b4a from 'b4a'
import { HoloError } from '../base/errors.ts'
import { PREVIOUS_SECRETS_MAX } from '../base/limits.ts'
import { type Fleet, mergeBootstraps } from './fleet.ts'
import { equalSecretly, keyedHash } from './hash.ts'

/** What the invite of a new secret says of the one before. */
export interface Succession {
  /** Wall clock, milliseconds since 1970: until then the old secret counts. */
  readonly untilMs: number
  /** 32 bytes that only a holder of the old secret could make. */
  readonly proof: Uint8Array
}

/** Secrets that count at `wallMs`, the present one first. */
export function secretsOf(fleet: Fleet, wallMs: number): readonly Uint8Array[] {
  return [fleet.secret, ...(fleet.previous ?? []).filter(({ untilMs }) => wallMs < untilMs).map(({ secret }) => secret)]
}

/** When the next old secret stops to count, undefined where there is none. */
export function nextExpiryMs(fleets: readonly Fleet[], wallMs: number): number | undefined {
  const ends = fleets.flatMap(({ previous = [] }) => previous.map(({ untilMs }) => untilMs))
  const ahead = ends.filter((untilMs) => untilMs > wallMs)
  return ahead.length === 0 ? undefined : Math.min(...ahead)
}

/**
 * Give `fleet` a new secret; the old one counts until `untilMs`, older ones as long as they did before.
 *
 * @throws {HoloError} blame `input`: too many old secrets still count
 */
export function rotateFleet(fleet: Fleet, secret: Uint8Array, untilMs: number, wallMs: number): Fleet {
  const previous = [{ secret: fleet.secret, untilMs }, ...(fleet.previous ?? [])].filter(
    (each) => each.untilMs > wallMs,
  )
  if (previous.length > PREVIOUS_SECRETS_MAX) {
    throw new HoloError(`The fleet ${fleet.name} has ${PREVIOUS_SECRETS_MAX} old secrets that still count`, {
      code: 'secrets-too-many',
      blame: 'input',
      hint: 'wait until the grace of an earlier rotation is over',
    })
  }
  return { name: fleet.name, secret, bootstraps: fleet.bootstraps, ...(previous.length > 0 ? { previous } : {}) }
}

/** The words in the invite of `fleet` on the secret before, undefined where none counts any more. */
export function successionOf({ secret, previous = [] }: Fleet, wallMs: number): Succession | undefined {
  const [latest] = previous
  if (latest === undefined || latest.untilMs <= wallMs) return undefined
  return { untilMs: latest.untilMs, proof: prove(latest.secret, secret, latest.untilMs) }
}

/**
 * Of the fleets of this machine, the one whose secret `joined` takes the place of, with the new secret.
 *
 * @returns undefined where `succession` is of none of them
 * @throws {HoloError} as `rotateFleet`, `mergeBootstraps`
 */
export function succeed(
  fleets: readonly Fleet[],
  joined: Fleet,
  { untilMs, proof }: Succession,
  wallMs: number,
): { readonly old: Fleet; readonly next: Fleet } | undefined {
  const old = fleets.find(({ secret }) => equalSecretly(proof, prove(secret, joined.secret, untilMs)))
  if (old === undefined) return undefined
  const rotated = rotateFleet(old, joined.secret, untilMs, wallMs)
  return { old, next: { ...rotated, bootstraps: mergeBootstraps(old.bootstraps, joined.bootstraps) } }
}

function prove(oldSecret: Uint8Array, newSecret: Uint8Array, untilMs: number): Uint8Array {
  const until = b4a.alloc(8)
  new DataView(until.buffer, until.byteOffset, 8).setBigUint64(0, BigInt(untilMs), true)
  return keyedHash('rotation', oldSecret, [newSecret, until])
}
