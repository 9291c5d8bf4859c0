/**
 * On whose word the library's own catalogs are used: this machine's, which knows who has signed them and where they came
 * from. Only a revoked key speaks against them: rcc restores them as they are.
 *
 * A restore at home comes through here, so keys and schemas are loaded only where something is revoked.
 */
import { existsSync } from 'node:fs'
import type { StatePaths } from '../catalog/layout.ts'
import type { Settings } from '../config/settings.ts'
import { SignatureFolder } from '../config/signature-folder.ts'
import type { CatalogSignature } from '../trust/catalog-signature.ts'
import type { CatalogFacts, CatalogJudge, Publication } from '../trust/publication.ts'
import { untrusted } from '../trust/untrusted.ts'
import type { Machine } from './machine.ts'

type IsRevoked = (publicKey: Uint8Array) => boolean

/** @param settings of this machine @throws {HoloError} blame `host`: the lists of keys cannot be used */
export async function localJudge({ state }: Machine, settings: Pick<Settings, 'trust'>): Promise<CatalogJudge> {
  const folder = new SignatureFolder(state)
  const isRevoked = await revokedHere(state, settings.trust.revokedKeys)
  return (facts) => {
    const publication = localPublication(folder, facts)
    const revoked = isRevoked === undefined ? [] : disowned(publication.believed, isRevoked)
    if (revoked.length === 0) return publication
    const faults = revoked.map((signature) => ({ fault: 'key-revoked' as const, signature }))
    throw untrusted(`Catalog ${facts.name} of the library`, { accepted: false, reason: 'key-revoked', faults })
  }
}

/** What this machine knows of a catalog that it holds. @throws {HoloError} blame `host` */
export function localPublication(
  folder: SignatureFolder,
  { name, sha256 }: Pick<CatalogFacts, 'name' | 'sha256'>,
): Publication {
  const signatures = folder.fitting(name, sha256)
  const origin = folder.originOf(name, sha256)
  return {
    grounds: 'own',
    signature: signatures[0],
    believed: signatures,
    strangers: [],
    ...(origin === undefined ? {} : { origin }),
  }
}

/** The keys that are revoked on this machine; undefined where none is. @throws as `localJudge` */
async function revokedHere(state: StatePaths, fromSettings: readonly string[]): Promise<IsRevoked | undefined> {
  if (fromSettings.length === 0 && !existsSync(state.trustedKeys)) return undefined
  const { loadKeyLists } = await import('../config/key-lists-file.ts')
  const { KeyRules } = await import('../trust/key-rules.ts')
  const { revoked } = await loadKeyLists(state)
  if (revoked.length + fromSettings.length === 0) return undefined
  const rules = new KeyRules({ allow: [], ban: [...fromSettings, ...revoked.map(({ key }) => key)] })
  return (publicKey) => rules.bans(publicKey)
}

/**
 * Those that speak against a catalog: of revoked keys, where no other builder has signed it, or nobody else at all. That
 * somebody holds it says nothing of who made it.
 */
function disowned(signatures: readonly CatalogSignature[], isRevoked: IsRevoked): CatalogSignature[] {
  const revoked = signatures.filter(({ key }) => isRevoked(key.publicKey))
  const others = signatures.filter((signature) => !revoked.includes(signature))
  const isBuilder = ({ statement }: CatalogSignature) => statement.role === 'builder'
  if (others.length === 0) return revoked
  return others.some(isBuilder) ? [] : revoked.filter(isBuilder)
}
