/**
 * Whom this process talks to: everybody but those that proved bad, and those whom the operator's lists leave out.
 *
 * Goes by keys alone, so that it can be asked before anything is known or done. What a peer must do to be shut out is
 * decided elsewhere.
 */
import type { HoloError } from '../base/errors.ts'
import { BANNED_KEYS_MAX } from '../base/limits.ts'
import type { KeyRules } from '../trust/key-rules.ts'
import { type Delegation, verifyDelegation } from '../trust/keys.ts'

export class Admission {
  /** Keys in hex, of links and machines, with what they did; the oldest first. */
  readonly #shutOut = new Map<string, HoloError>()
  #rules: KeyRules | undefined

  /** @param rules undefined: everybody is welcome */
  constructor(rules: KeyRules | undefined) {
    this.#rules = rules
  }

  /** Follow these rules from now on. */
  follow(rules: KeyRules): void {
    this.#rules = rules
  }

  /** Shut a key out for the life of this process. */
  shutOut(publicKey: Uint8Array, reason: HoloError): void {
    this.#shutOut.set(hex(publicKey), reason)
    // Keys cost a stranger nothing, so the oldest are forgotten.
    for (const key of this.#shutOut.keys()) if (this.#shutOut.size > BANNED_KEYS_MAX) this.#shutOut.delete(key)
  }

  /** What the owner of a key did to be shut out, if anything. */
  reasonAgainst(publicKey: Uint8Array): HoloError | undefined {
    return this.#shutOut.get(hex(publicKey))
  }

  /** Whether a key, of a link or of a machine, is shut out: by its deeds or by name. */
  isBanned(publicKey: Uint8Array): boolean {
    return this.#shutOut.has(hex(publicKey)) || this.#rules?.bans(publicKey) === true
  }

  /**
   * Whether whoever has this key is not to be talked to.
   *
   * @param delegation the word of its machine, where a process calls under a key of its own
   */
  refuses(publicKey: Uint8Array, delegation?: Delegation): boolean {
    const machineKey = delegation?.machineKey ?? publicKey
    if (this.isBanned(publicKey) || this.isBanned(machineKey) || this.#rules?.admits(machineKey) === false) return true
    // Last, since it takes longer than all the rest.
    return delegation !== undefined && !verifyDelegation(delegation, publicKey)
  }
}

function hex(key: Uint8Array): string {
  return Buffer.from(key).toString('hex')
}
