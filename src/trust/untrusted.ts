/** The error of a catalog that is not trusted: why, in one sentence, and what its operator can do. */
import { HoloError } from '../base/errors.ts'
import type { CatalogSignature } from './catalog-signature.ts'
import type { Verdict } from './judge.ts'
import { formatKey } from './key-text.ts'

type Refusal = Extract<Verdict, { accepted: false }>
type Reason = Refusal['reason']

/** How each reason ends the sentence `Catalog X of Y is not trusted: …`. */
const CAUSES: Readonly<Record<Reason, (signature: CatalogSignature | undefined) => string>> = {
  'offerer-revoked': () => 'the key of that machine is revoked here',
  unsigned: () => 'nobody has signed it',
  'key-revoked': (one) => `it is signed by ${nameOf(one)}, a key that is revoked here`,
  'signature-older': (one) =>
    `${nameOf(one)} has signed a newer one since (this is number ${one?.statement.serial}, of ${dateOf(one)})`,
  'signature-wrong': (one) => `the signature of ${nameOf(one)} is wrong`,
  'other-name': (one) => `the signature of ${nameOf(one)} is for catalog ${one?.statement.catalog}`,
  'other-content': (one) => `the signature of ${nameOf(one)} is for another content of that name`,
  'other-base': (one) => `the signature of ${nameOf(one)} is for the holotree ${one?.statement.base}`,
  'other-pieces': (one) => `the signature of ${nameOf(one)} is for other pieces`,
  'key-unknown': (one) => `nobody here trusts ${nameOf(one)}, who has signed it`,
}

const TAMPERED =
  'somebody has changed catalog or signature on the way: look at that source, and take it from another one'

const HINTS: Readonly<Record<Exclude<Reason, 'key-unknown'>, string>> = {
  'offerer-revoked': 'take the environment from another machine, or let rcc build it',
  unsigned: 'let its publisher sign it there with `holo-peer sign`, or let rcc build it',
  'key-revoked': 'let a machine that you trust build it and publish it again',
  'signature-older': 'take it from a machine that has the newer one, or run the command again with --allow-rollback',
  'signature-wrong': TAMPERED,
  'other-name': TAMPERED,
  'other-content': TAMPERED,
  'other-base': TAMPERED,
  'other-pieces': TAMPERED,
}

/**
 * @param subject the catalog and where it comes from: `Catalog X of peer Y`
 * @returns blame `trust`; the code is the reason (`key-revoked` …), or `catalog-unsigned`
 */
export function untrusted(subject: string, { reason, faults }: Refusal): HoloError {
  const signature = faults.find(({ fault }) => fault === reason)?.signature
  return new HoloError(`${subject} is not trusted: ${CAUSES[reason](signature)}`, {
    code: reason === 'unsigned' ? 'catalog-unsigned' : reason,
    blame: 'trust',
    hint: hintOf(reason, signature),
  })
}

function hintOf(reason: Reason, signature: CatalogSignature | undefined): string {
  if (reason !== 'key-unknown') return HINTS[reason]
  if (signature === undefined) return HINTS.unsigned
  return `if you know that key to be right, run \`holo-peer keys trust ${formatKey(signature.key)}\``
}

function nameOf(signature: CatalogSignature | undefined): string {
  return signature === undefined ? 'somebody' : signature.key.name
}

function dateOf(signature: CatalogSignature | undefined): string {
  return signature === undefined ? 'then' : new Date(signature.statement.timeMs).toISOString().slice(0, 10)
}
