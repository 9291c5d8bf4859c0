/**
 * Who may ask at rcc's door. Pure.
 *
 * On loopback everybody of this machine may, as with rccremote; a web page in a browser of this machine may not, also
 * not by a name of its own that leads to 127.0.0.1. Where a token is set, whoever asks needs it, local or not.
 */
import { HoloError } from '../base/errors.ts'
import { sha256Of } from '../blob/digest.ts'
import { equalSecretly } from '../trust/hash.ts'

export interface DoorAccess {
  /** Undefined: nobody needs one. */
  readonly token: string | undefined
  /** Whether machines other than this one may come without a token. */
  readonly open: boolean
}

/** What a request says of its sender. */
export interface DoorVisitor {
  readonly host: string | undefined
  readonly authorization: string | undefined
  /** What browsers say of the page that asks. */
  readonly fetchSite: string | undefined
}

/** Why a request is turned away. */
export interface Refusal {
  readonly status: 401 | 403
  readonly reason: string
}

/** Characters of a token: 22 of base64 are 128 bits. */
const TOKEN_CHARACTERS_MIN = 22
const TOKEN = /^[\x21-\x7e]*$/

/**
 * Check that nobody is let in whom the settings do not mean.
 *
 * @throws {HoloError} blame `input`: the address can be reached from elsewhere, with neither a token nor `open`; or the
 *   token is short, or no word
 */
export function checkAccess(address: string, { token, open }: DoorAccess): void {
  if (token !== undefined && (token.length < TOKEN_CHARACTERS_MIN || !TOKEN.test(token)))
    throw new HoloError(`The token of rcc's door is not a word of at least ${TOKEN_CHARACTERS_MIN} characters`, {
      code: 'door-token-weak',
      blame: 'input',
      hint: 'make one with `openssl rand -hex 32`',
    })
  if (token !== undefined || open || isLoopback(address)) return
  throw new HoloError(`rcc's door at ${address} could be reached by everybody on the network`, {
    code: 'door-unprotected',
    blame: 'input',
    hint: 'set holo-peer.door.token-file, or holo-peer.door.open: true, or leave holo-peer.door.address at localhost',
  })
}

/** Whether only this machine can reach `address`: `localhost`, 127.0.0.0/8 or ::1. */
export function isLoopback(address: string): boolean {
  return address === 'localhost' || address === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(address)
}

/** @returns undefined where the request is let in */
export function refusalOf(visitor: DoorVisitor, { token, open }: DoorAccess): Refusal | undefined {
  if (token !== undefined) {
    return bears(visitor.authorization, token) ? undefined : { status: 401, reason: 'a token is needed here' }
  }
  if (visitor.fetchSite === 'cross-site' || visitor.fetchSite === 'same-site')
    return { status: 403, reason: 'web pages of others are not answered' }
  if (open || isLoopback(hostName(visitor.host ?? 'localhost'))) return undefined
  return { status: 403, reason: 'ask this door by the name localhost' }
}

/** rcc sends RCC_REMOTE_AUTHORIZATION as it is, with or without a scheme in front. */
function bears(authorization: string | undefined, token: string): boolean {
  if (authorization === undefined) return false
  const given = authorization.replace(/^bearer +/i, '')
  // Hashed first: a comparison in constant time needs the same length on both sides.
  return equalSecretly(digestOf(given), digestOf(token))
}

function digestOf(text: string): Uint8Array {
  return Buffer.from(sha256Of(Buffer.from(text)), 'hex')
}

/** `Host` without its port and brackets, in lower case. */
function hostName(host: string): string {
  return (
    /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/
      .exec(host)
      ?.slice(1)
      .find((name) => name !== undefined) ?? ''
  ).toLowerCase()
}
