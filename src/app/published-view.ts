/** On whose word an environment is used, as reports and `--json` say it. No cryptography: a restore at home shows it too. */
import { formatKey } from '../trust/key-text.ts'
import type { Grounds, Publication } from '../trust/publication.ts'

export interface PublishedView {
  /** Why it is taken. */
  readonly grounds: Grounds
  /** Who has signed it; null where nobody has. */
  readonly signer: {
    readonly name: string
    /** `name:base64`. */
    readonly key: string
    /** `builder` made it, `holder` has it in its library. */
    readonly role: 'builder' | 'holder'
    /** ISO 8601, by the signer's clock. */
    readonly time: string
    readonly serial: number
  } | null
  /** Names of all whose signatures fit it, the one above included. */
  readonly signers: readonly string[]
  /** Where this machine has it from; null where it was built or imported here. */
  readonly origin: { readonly source: string; readonly time: string } | null
}

export function publishedView({ grounds, signature, believed, strangers, origin }: Publication): PublishedView {
  return {
    grounds,
    signer:
      signature === undefined
        ? null
        : {
            name: signature.key.name,
            key: formatKey(signature.key),
            role: signature.statement.role,
            time: new Date(signature.statement.timeMs).toISOString(),
            serial: signature.statement.serial,
          },
    signers: [...believed, ...strangers].map(({ key }) => key.name),
    origin: origin === undefined ? null : { source: origin.source, time: new Date(origin.timeMs).toISOString() },
  }
}
