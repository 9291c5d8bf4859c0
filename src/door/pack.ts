/**
 * `pack/<name>` of the tree: the pieces of an environment behind their index, made while they are sent.
 *
 * Nothing is compressed for it. A piece whose frame was prepared goes as that frame, any other one as its content, so a
 * pack is there as soon as its environment is. Frames come and go, and each time the pack is another one, with another
 * ETag. So whoever reads it in parts says by If-Range which one: it is laid out as before as long as those frames are
 * kept, else the answer is the whole of the new one, and the reader begins again.
 */
import type { Clock } from '../base/clock.ts'
import { DOOR_PACK_FRESH_MS, DOOR_PACKS_KEPT } from '../base/door-limits.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { FormedPieces } from '../blob/pieces.ts'
import { contentAnswer, type DoorAnswer, type DoorRequest } from './answer.ts'
import type { DoorEnvironment } from './door-library.ts'
import { packBytes } from './pack-bytes.ts'
import { PackLayout } from './pack-layout.ts'

interface KeptLayout {
  readonly layout: PackLayout
  readonly madeMs: number
}

export class Packs {
  /** By their tags; the latest of each catalog is behind the others. */
  readonly #kept = new Map<string, KeptLayout>()

  constructor(
    private readonly pieces: FormedPieces,
    private readonly clock: Pick<Clock, 'nowMs'>,
  ) {}

  /** @returns undefined where the pieces of that environment are not known */
  answer(request: DoorRequest, { sha256 }: DoorEnvironment, signal: AbortSignal): DoorAnswer | undefined {
    const layout = this.#named(request, sha256) ?? this.#latest(sha256)
    if (layout === undefined) return undefined
    return contentAnswer(request, {
      type: 'application/octet-stream',
      tag: layout.tag,
      sizeBytes: layout.sizeBytes,
      headers: { 'cache-control': 'no-cache' },
      bytes: (range) => packBytes(layout, range, this.pieces, signal),
    })
  }

  /** The one that the reader has begun with, also where there is a later one. */
  #named(request: DoorRequest, catalog: Sha256Digest): PackLayout | undefined {
    const tag = request.header('if-range')?.replaceAll('"', '')
    const layout = tag === undefined ? undefined : this.#kept.get(tag)?.layout
    return layout?.catalog === catalog && this.pieces.areKept(catalog, layout.forms) ? layout : undefined
  }

  /** Those who come together are given the same one. */
  #latest(catalog: Sha256Digest): PackLayout | undefined {
    const nowMs = this.clock.nowMs()
    const last = [...this.#kept.values()].findLast(({ layout }) => layout.catalog === catalog)
    const isFresh = last !== undefined && nowMs - last.madeMs < DOOR_PACK_FRESH_MS
    if (isFresh && this.pieces.areKept(catalog, last.layout.forms)) return last.layout
    const forms = this.pieces.forms(catalog)
    if (forms === undefined) return undefined
    const layout = new PackLayout(catalog, forms)
    this.#kept.delete(layout.tag)
    this.#kept.set(layout.tag, { layout, madeMs: nowMs })
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= DOOR_PACKS_KEPT) break
      this.#kept.delete(oldest)
    }
    return layout
  }
}
