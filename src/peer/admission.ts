/**
 * Whom this process talks to: everybody but those that proved bad, and those whom the operator's lists leave out.
 *
 * Goes by keys alone, so that it can be asked before anything is known or done. What a peer must do to be shut out is
 * decided elsewhere.
 */
import type { HoloError } from '../base/errors.ts'
import type { KeyRules } from '../trust/key-rules.ts'
import { type Delegation, verifyDelegation } from '../trust/keys.ts'
import type { Bans } from './bans.ts'

export class Admission {
  #rules: KeyRules | undefined

  /**
   * @param rules undefined: everybody is welcome
   * @param bans those that proved bad
   */
  constructor(
    rules: KeyRules | undefined,
    private readonly bans: Bans,
  ) {
    this.#rules = rules
  }

  /** Follow these rules from now on. */
  follow(rules: KeyRules): void {
    this.#rules = rules
  }

  /** What the owner of a key did to be shut out, if anything. */
  reasonAgainst(publicKey: Uint8Array): HoloError | undefined {
    return this.bans.find(publicKey)
  }

  /** Whether a key, of a link or of a machine, is shut out: by its deeds or by name. */
  isBanned(publicKey: Uint8Array): boolean {
    return this.bans.find(publicKey) !== undefined || this.#rules?.bans(publicKey) === true
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
