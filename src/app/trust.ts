/**
 * Whose word counts on this machine, now: settings, lists, keys and fleets, read anew for every question, so that a
 * revoked key is refused at once, by a daemon too.
 */
import { systemClock } from '../base/clock.ts'
import { loadKeyLists } from '../config/key-lists-file.ts'
import { SignatureFolder } from '../config/signature-folder.ts'
import type { CatalogSignature } from '../trust/catalog-signature.ts'
import { judge, type LastWord, type OfferJudge, type TrustPolicy } from '../trust/judge.ts'
import { KeyRules } from '../trust/key-rules.ts'
import { keyHex, type NamedKey, parseKey } from '../trust/key-text.ts'
import { decodeSignatures } from '../trust/signature-json.ts'
import { trustedAt } from '../trust/trusted-keys.ts'
import { untrusted } from '../trust/untrusted.ts'
import { countingSecrets, fleetsOf } from './fleet.ts'
import { ownKeys } from './keys.ts'
import type { Machine } from './machine.ts'
import { settingsOf } from './settings-of.ts'

export interface TrustOptions {
  /** Take an older statement of a key for a newer one: asked for by name only. */
  readonly allowRollback: boolean
  /** Keys that count for one source beside those of this machine. */
  readonly sourceKeys?: readonly NamedKey[]
}

/** @throws {HoloError} blame `host` or `input`: keys, lists, fleets or settings cannot be used */
export async function offerJudge(machine: Machine, options: TrustOptions): Promise<OfferJudge> {
  const policy = await trustPolicy(machine, options)
  const folder = new SignatureFolder(machine.state)
  return (offerer, lines) => {
    const signatures = decodeSignatures(lines)
    return (facts) => {
      const known = { ...facts, offerer, pieceTable: undefined, lastWords: lastWords(folder.of(facts.name)) }
      const verdict = judge(signatures, policy, known)
      if (!verdict.accepted) throw untrusted(`Catalog ${facts.name} of ${facts.source}`, verdict)
      return verdict
    }
  }
}

/** @throws as `offerJudge` */
export async function trustPolicy(
  machine: Machine,
  { allowRollback, sourceKeys = [] }: TrustOptions,
): Promise<TrustPolicy> {
  const { trust } = await settingsOf(machine)
  const lists = await loadKeyLists(machine.state)
  const settled = trust.trustedKeys.map(parseKey).filter((key) => key !== undefined)
  const rules = new KeyRules({ allow: [], ban: [...trust.revokedKeys, ...lists.revoked.map(({ key }) => key)] })
  return {
    rule: trust.rule,
    trusted: [...(await ownKeys(machine)), ...trustedAt(lists, systemClock.wallMs()), ...settled, ...sourceKeys],
    isRevoked: (publicKey) => rules.bans(publicKey),
    secrets: countingSecrets(await fleetsOf(machine)),
    allowRollback,
  }
}

function lastWords(signatures: readonly CatalogSignature[]): ReadonlyMap<string, LastWord> {
  return new Map(
    signatures.map(({ key, statement: { serial, sha256 } }) => [keyHex(key.publicKey), { serial, sha256 }] as const),
  )
}
