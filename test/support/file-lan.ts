import { afterAll, beforeAll } from 'bun:test'
import { Lan } from './lan.ts'

/**
 * A LAN for all tests of the calling file or `describe`, gone after the last of them.
 *
 * @param possible whether hosts can be made here at all: hooks run for skipped tests too
 */
export function fileLan(possible: boolean): () => Lan {
  let lan: Lan | undefined
  beforeAll(() => {
    if (possible) lan = new Lan()
  })
  afterAll(async () => {
    await lan?.[Symbol.asyncDispose]()
  })
  return () => {
    if (lan === undefined) throw new Error('no hosts can be made here')
    return lan
  }
}
