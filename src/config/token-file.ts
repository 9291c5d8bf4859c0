/** A token in a file: one line, for its owner alone. */

import { invalidSettings } from './check-section.ts'
import { readSecretFile } from './state.ts'

/** A token is some dozens of characters. */
const TOKEN_FILE_BYTES_MAX = 4096

/**
 * @returns without white space around it
 * @throws {HoloError} blame `input`: there is no such file; blame `host`: others can read it, or it cannot be read
 */
export async function readTokenFile(path: string): Promise<string> {
  const text = await readSecretFile(path, TOKEN_FILE_BYTES_MAX)
  if (text === undefined) throw invalidSettings(`There is no file ${path}, which holo-peer.door.token-file names`)
  return text.trim()
}
