/** Tells one peer which catalogs this machine holds completely, as changes of what it was told before. */
import { HAVE_ENTRIES_MAX } from '../base/limits.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { Have, HeldCatalog } from './messages.ts'

export class CatalogAnnouncer {
  #announced = new Map<CatalogName, HeldCatalog>()

  /** @param send queues one message */
  constructor(private readonly send: (message: Have) => void) {}

  /** @param catalogs all that are held now */
  tell(catalogs: readonly HeldCatalog[]): void {
    const held = new Map(catalogs.map((catalog) => [catalog.name, catalog]))
    const added = catalogs.filter(({ name, sha256 }) => this.#announced.get(name)?.sha256 !== sha256)
    const removed = [...this.#announced.keys()].filter((name) => !held.has(name))
    this.#announced = held
    for (let from = 0; from < Math.max(added.length, removed.length); from += HAVE_ENTRIES_MAX) {
      const to = from + HAVE_ENTRIES_MAX
      this.send({ type: 'have', added: added.slice(from, to), removed: removed.slice(from, to) })
    }
  }
}
