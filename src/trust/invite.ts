/**
 * A fleet on one line, for one person to send to another: `holo-fleet1:` and base64url.
 *
 * Content: length of what follows, name, secret, bootstraps, after a change of secret the words on the one before, and
 * four bytes of a hash, so that a cut or mistyped invite is told from a good one. Whoever has the line is a member: it is as secret as the secret itself.
 */
import b4a from 'b4a'
import c from 'compact-encoding'
import { HoloError } from '../base/errors.ts'
import { BOOTSTRAPS_MAX, INVITE_CHARACTERS_MAX } from '../base/limits.ts'
import { createFleet, type Fleet, isFleetName } from './fleet.ts'
import { plainHash } from './hash.ts'
import type { Succession } from './rotation.ts'

const PREFIX = 'holo-fleet1:'
const CHECK_BYTES = 4

/** What an invite says. */
export interface Invite {
  readonly fleet: Fleet
  /** Where its secret takes the place of another. */
  readonly succession: Succession | undefined
}

/** @returns one line without white space */
export function encodeInvite({ name, secret, bootstraps }: Fleet, succession?: Succession): string {
  const body = encodeBody(name, secret, bootstraps, succession)
  const whole = b4a.concat([c.encode(c.uint, body.byteLength), body, checkOf(body)])
  return PREFIX + Uint8Array.from(whole).toBase64({ alphabet: 'base64url', omitPadding: true })
}

/**
 * @param text as pasted: white space around it and line breaks within it are forgiven
 * @throws {HoloError} blame `input`, code `invite-malformed`: not an invite, cut off, or mistyped
 */
export function decodeInvite(text: string): Invite {
  const line = text.replace(/\s+/g, '')
  if (line.length > INVITE_CHARACTERS_MAX) throw malformed('The invite is far too long')
  if (!line.startsWith(PREFIX)) throw malformed(`An invite begins with ${PREFIX}, this text does not`)
  let whole: Uint8Array
  try {
    whole = Uint8Array.fromBase64(line.slice(PREFIX.length), { alphabet: 'base64url' })
  } catch {
    throw malformed('The invite is cut off, or has a character that no invite has')
  }
  const state = c.state(0, whole.byteLength, whole)
  try {
    const length = c.uint.decode(state)
    if (whole.byteLength - state.start < length + CHECK_BYTES) throw malformed('The invite is cut off')
    const body = whole.subarray(state.start, state.start + length)
    const check = whole.subarray(state.start + length)
    if (!b4a.equals(check, checkOf(body))) throw malformed('The invite is damaged: a character is wrong or too much')
    return decodeBody(body)
  } catch (error) {
    if (error instanceof HoloError) throw error
    throw malformed('The invite is cut off or damaged')
  }
}

/**
 * The fleet of HOLO_PEER_FLEET_SECRET: an invite, or a bare secret in 64 hex digits.
 *
 * @throws {HoloError} blame `input`; the message never repeats the text, which may be a secret
 */
export function fleetFromEnvironment(text: string): Fleet {
  const bare = text.trim()
  if (/^[0-9a-fA-F]{64}$/.test(bare)) return createFleet('environment', b4a.from(bare, 'hex'))
  if (bare.startsWith(PREFIX)) return decodeInvite(bare).fleet
  throw new HoloError('HOLO_PEER_FLEET_SECRET is neither an invite nor a secret', {
    code: 'invite-malformed',
    blame: 'input',
    hint: `set it to an invite (${PREFIX}…) or to the 64 hex digits of the secret`,
  })
}

function encodeBody(
  name: string,
  secret: Uint8Array,
  bootstraps: readonly string[],
  succession: Succession | undefined,
): Uint8Array {
  const encodings = [c.encode(c.string, name), secret, c.encode(c.uint, bootstraps.length)]
  for (const bootstrap of bootstraps) encodings.push(c.encode(c.string, bootstrap))
  if (succession !== undefined) encodings.push(c.encode(c.uint, succession.untilMs), succession.proof)
  return b4a.concat(encodings)
}

function decodeBody(body: Uint8Array): Invite {
  const state = c.state(0, body.byteLength, body)
  const name = c.string.decode(state)
  const secret = Uint8Array.from(c.fixed32.decode(state))
  const count = c.uint.decode(state)
  if (!isFleetName(name) || count > BOOTSTRAPS_MAX) throw malformed('The invite is damaged')
  const bootstraps: string[] = []
  for (let index = 0; index < count; index++) bootstraps.push(c.string.decode(state))
  const fleet = createFleet(name, secret, bootstraps)
  if (state.start === state.end) return { fleet, succession: undefined }
  const succession = { untilMs: c.uint.decode(state), proof: Uint8Array.from(c.fixed32.decode(state)) }
  if (state.start !== state.end) throw malformed('The invite is damaged')
  return { fleet, succession }
}

function checkOf(body: Uint8Array): Uint8Array {
  return plainHash('invite', [body]).subarray(0, CHECK_BYTES)
}

function malformed(message: string): HoloError {
  return new HoloError(message, {
    code: 'invite-malformed',
    blame: 'input',
    hint: 'copy the whole line that `holo-peer fleet show` prints on the other machine',
  })
}
