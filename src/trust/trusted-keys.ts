/**
 * The keys that this machine trusts by name, and those that it has revoked: pure changes of both lists.
 *
 * Several keys may be trusted at once, also of one name, some for a time only: so a publisher's key is changed without a
 * day on which neither counts. A revoked key stays revoked: it does not come back by being trusted again.
 */
import { HoloError } from '../base/errors.ts'
import { TRUSTED_KEYS_MAX } from '../base/limits.ts'
import { isKeyText, KeyRules } from './key-rules.ts'
import { formatKey, keyHex, type NamedKey, parseKey } from './key-text.ts'
import { fingerprint } from './keys.ts'

export interface TrustedKey extends NamedKey {
  /** Wall clock, milliseconds since 1970: from then on it counts no more. Undefined: for good. */
  readonly untilMs?: number
}

export interface RevokedKey {
  /** As `KeyRules` takes it: 64 hex digits, or a fingerprint where no more was known. */
  readonly key: string
  /** The name that it had, for people. */
  readonly name?: string
  /** Wall clock, milliseconds since 1970. */
  readonly sinceMs: number
}

export interface KeyLists {
  readonly trusted: readonly TrustedKey[]
  readonly revoked: readonly RevokedKey[]
}

export const NO_KEYS: KeyLists = { trusted: [], revoked: [] }

/**
 * Trust a key, for good or until `untilMs`; a key that is trusted already gets the new name and time.
 *
 * @throws {HoloError} blame `input`: it is revoked (code `key-revoked`), or there are too many
 */
export function trustKey({ trusted, revoked }: KeyLists, key: NamedKey, untilMs: number | undefined): KeyLists {
  if (revocations(revoked).bans(key.publicKey)) {
    throw new HoloError(`The key ${key.name} (${fingerprint(key.publicKey)}) is revoked here, and stays so`, {
      code: 'key-revoked',
      blame: 'input',
      hint: 'let its owner make a new one with `holo-peer keys rotate`, and trust that',
    })
  }
  const others = trusted.filter(({ publicKey }) => keyHex(publicKey) !== keyHex(key.publicKey))
  if (others.length >= TRUSTED_KEYS_MAX) throw tooMany('trusted')
  const added = { name: key.name, publicKey: key.publicKey, ...(untilMs === undefined ? {} : { untilMs }) }
  return { trusted: [...others, added], revoked }
}

/**
 * Revoke the keys that `text` means: a key (`name:base64`, 64 hex digits), a fingerprint, or the name of known ones.
 *
 * @param known keys that this machine knows beside its lists: its own, those that have signed what it holds
 * @returns the lists, and what was revoked now or before
 * @throws {HoloError} blame `input`, code `key-unknown`: `text` is nothing of this; `key-ambiguous`: several have that
 *   name; or there are too many
 */
export function revokeKey(
  { trusted, revoked }: KeyLists,
  text: string,
  known: readonly NamedKey[],
  wallMs: number,
): { readonly lists: KeyLists; readonly meant: readonly RevokedKey[] } {
  const keys = [...new Map([...trusted, ...known].map((key) => [keyHex(key.publicKey), key])).values()]
  const written = parseKey(text)
  const rule = new KeyRules({ allow: [], ban: [text] })
  const fits = ({ name, publicKey }: NamedKey) => name === text || rule.bans(publicKey)
  const named = written === undefined ? keys.filter(fits) : [written]
  const meant: RevokedKey[] = named.map(({ name, publicKey }) => ({ key: keyHex(publicKey), name, sinceMs: wallMs }))
  if (meant.length === 0 && isKeyText(text)) meant.push({ key: text.toLowerCase(), sinceMs: wallMs })
  if (meant.length === 0) {
    throw new HoloError(`No key that this machine knows is called "${text.slice(0, 120)}"`, {
      code: 'key-unknown',
      blame: 'input',
      hint: 'see `holo-peer keys list`, or name the key itself: name:base64, 64 hex digits, or its fingerprint',
    })
  }
  const added = meant.filter(({ key }) => !revoked.some((each) => each.key === key))
  if (added.length > 1) {
    throw new HoloError(`${added.length} keys that this machine knows are called ${text}`, {
      code: 'key-ambiguous',
      blame: 'input',
      hint: 'see `holo-peer keys list`, and name the one that is meant by itself or by its fingerprint',
    })
  }
  if (revoked.length + added.length > TRUSTED_KEYS_MAX) throw tooMany('revoked')
  const lists = { trusted, revoked: [...revoked, ...added] }
  const still = revocations(lists.revoked)
  return { lists: { ...lists, trusted: trusted.filter(({ publicKey }) => !still.bans(publicKey)) }, meant }
}

/** Keys that count at `wallMs`. */
export function trustedAt({ trusted }: KeyLists, wallMs: number): readonly TrustedKey[] {
  return trusted.filter(({ untilMs = Number.POSITIVE_INFINITY }) => wallMs < untilMs)
}

/** Asked by `bans`. */
export function revocations(revoked: readonly RevokedKey[]): KeyRules {
  return new KeyRules({ allow: [], ban: revoked.map(({ key }) => key) })
}

/** The text of the file, for `decodeKeyLists`. */
export function encodeKeyLists({ trusted, revoked }: KeyLists): string {
  const file = {
    version: 1,
    trusted: trusted.map(({ untilMs, ...key }) => ({
      key: formatKey(key),
      ...(untilMs === undefined ? {} : { until: new Date(untilMs).toISOString() }),
    })),
    revoked: revoked.map(({ key, name, sinceMs }) => ({
      key,
      ...(name === undefined ? {} : { name }),
      since: new Date(sinceMs).toISOString(),
    })),
  }
  return `${JSON.stringify(file, undefined, 2)}\n`
}

function tooMany(which: string): HoloError {
  return new HoloError(`This machine can have ${TRUSTED_KEYS_MAX} ${which} keys at most`, {
    code: 'keys-too-many',
    blame: 'input',
    hint: 'remove those that nobody uses any more from trusted-keys.json in its state folder',
  })
}
