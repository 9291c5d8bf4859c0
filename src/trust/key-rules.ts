/**
 * Which machines an operator lets in or shuts out, by key: pure values from settings.yaml.
 *
 * A key is written as its 64 hex digits, or as the fingerprint that `holo-peer peers` shows. Fingerprints are 60 bits of
 * a hash: enough to name a machine that exists; who fears that somebody computes a twin names the whole key.
 */
import { fingerprint } from './keys.ts'

const KEY = /^[0-9a-fA-F]{64}$/
const FINGERPRINT = /^[a-z1-9]{4}-[a-z1-9]{4}-[a-z1-9]{4}$/

export class KeyRules {
  readonly #allow: ReadonlySet<string>
  readonly #ban: ReadonlySet<string>

  /** @param allow empty: everybody; both as `isKeyText` accepts them */
  constructor({ allow, ban }: { readonly allow: readonly string[]; readonly ban: readonly string[] }) {
    this.#allow = new Set(allow.map((text) => text.toLowerCase()))
    this.#ban = new Set(ban.map((text) => text.toLowerCase()))
  }

  /** Whether this key is shut out by name; for the key of any link. */
  bans(publicKey: Uint8Array): boolean {
    return includes(this.#ban, publicKey)
  }

  /** Whether a machine may be talked to: not banned and, where there is an allow-list, on it. */
  admits(machineKey: Uint8Array): boolean {
    if (this.bans(machineKey)) return false
    return this.#allow.size === 0 || includes(this.#allow, machineKey)
  }
}

export function isKeyText(text: string): boolean {
  return KEY.test(text) || FINGERPRINT.test(text)
}

function includes(keys: ReadonlySet<string>, publicKey: Uint8Array): boolean {
  return keys.size > 0 && (keys.has(Buffer.from(publicKey).toString('hex')) || keys.has(fingerprint(publicKey)))
}
