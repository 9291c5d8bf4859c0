/** The second thread of a restore: places batches until none is left. An entry point of its own. */
import { type Blame, HoloError } from '../base/errors.ts'
import { NativePlacer, type PlacerPlaces } from './native-placer.ts'
import { type SharedPlacements, STOPPED, THREAD_STATE } from './placements.ts'

export interface PlaceOrder {
  readonly placements: SharedPlacements
  readonly places: PlacerPlaces
}

/** How the thread ended. */
export type PlaceEnd =
  | { readonly failed: false }
  | {
      readonly failed: true
      readonly message: string
      /** Undefined for a bug. */
      readonly error: { readonly code: string; readonly blame: Blame; readonly hint: string | undefined } | undefined
    }

async function place({ placements, places }: PlaceOrder): Promise<PlaceEnd> {
  if (Atomics.compareExchange(placements.control, THREAD_STATE, 0, 1) !== 0) return { failed: false }
  try {
    using placer = new NativePlacer(placements, places, 't')
    while (await placer.placeBatch());
    return { failed: false }
  } catch (error) {
    Atomics.store(placements.control, STOPPED, 1)
    if (error instanceof HoloError) {
      const { message, code, blame, hint } = error
      return { failed: true, message, error: { code, blame, hint } }
    }
    return {
      failed: true,
      message: error instanceof Error ? (error.stack ?? error.message) : `${error}`,
      error: undefined,
    }
  }
}

declare const self: Worker

self.onmessage = (event: MessageEvent<PlaceOrder>) => {
  void place(event.data).then((end) => self.postMessage(end))
}
