/**
 * Which of several catalogs of one name is asked for first.
 *
 * Pure. A catalog's name is no proof of its content, so peers may differ: the local one wins, else the majority. Whether it
 * is trusted is judged once it has come with its signatures; where it is not, the next choice follows.
 */
import type { Sha256Digest } from '../blob/digest.ts'

/** One peer's word for a catalog. */
export interface Offer<Holder> {
  readonly holder: Holder
  /** Whose word it is: a machine counts once, however many of its processes say it. */
  readonly machine: string
  /** For the warning. */
  readonly holderName: string
  readonly sha256: Sha256Digest
}

export interface Choice<Holder> {
  readonly sha256: Sha256Digest
  /** Who holds it, in the order given. */
  readonly holders: readonly Holder[]
  /** One sentence that names the peers that differ, undefined where all agree. */
  readonly warning: string | undefined
}

/**
 * @param local SHA-256 of the catalog that this machine holds, if any: it wins where somebody offers it too
 * @returns undefined where nobody offers it; at a tie the smallest hash wins, so that all machines choose alike
 */
export function chooseCatalog<Holder>(
  name: string,
  offers: readonly Offer<Holder>[],
  local: Sha256Digest | undefined,
): Choice<Holder> | undefined {
  const groups = new Map<Sha256Digest, Offer<Holder>[]>()
  for (const offer of offers) {
    const group = groups.get(offer.sha256)
    if (group === undefined) groups.set(offer.sha256, [offer])
    else group.push(offer)
  }
  const ranked = [...groups].sort(
    ([left, some], [right, others]) => others.length - some.length || (left < right ? -1 : 1),
  )
  const first = ranked[0]
  // One that nobody offers cannot win: what is left of it here is no use without its blobs.
  const localOffered = local !== undefined && groups.has(local)
  const sha256 = localOffered ? local : first?.[0]
  if (sha256 === undefined || first === undefined) return undefined
  const others = offers.filter((offer) => offer.sha256 !== sha256).map(({ holderName }) => holderName)
  const believed = localOffered ? 'the local one' : 'the majority'
  return {
    sha256,
    holders: (groups.get(sha256) ?? []).map(({ holder }) => holder),
    warning:
      others.length === 0
        ? undefined
        : `Catalog ${name} differs between machines; ${believed} is believed, not ${others.join(', ')}`,
  }
}
