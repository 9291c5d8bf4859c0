/**
 * `trusted-keys.json` of the state folder: the keys that this machine trusts by name, and those that it has revoked.
 *
 * A file that is damaged is refused rather than taken for empty: then a revoked key would count again.
 */
import { dirname } from 'node:path'
import { HoloError, messageOf } from '../base/errors.ts'
import { TRUST_JSON_BYTES_MAX, TRUSTED_KEYS_MAX } from '../base/limits.ts'
import { z } from '../base/schema.ts'
import type { StatePaths } from '../catalog/layout.ts'
import { isKeyText } from '../trust/key-rules.ts'
import { isKeyName, type NamedKey, parseKey } from '../trust/key-text.ts'
import { encodeKeyLists, type KeyLists, NO_KEYS } from '../trust/trusted-keys.ts'
import { makeStateFolder, readSecretFile, writeSecretFile } from './state.ts'

const time = z.iso.datetime().transform((text) => Date.parse(text))
const namedKey = z.string().transform((text, context): NamedKey => {
  const key = parseKey(text)
  if (key !== undefined) return key
  context.addIssue({ code: 'custom', message: 'must be a key: name:base64' })
  return z.NEVER
})

const file = z.strictObject({
  version: z.literal(1),
  trusted: z.array(z.strictObject({ key: namedKey, until: time.optional() })).max(TRUSTED_KEYS_MAX),
  revoked: z
    .array(
      z.strictObject({
        key: z.string().refine(isKeyText),
        name: z.string().refine(isKeyName).optional(),
        since: time,
      }),
    )
    .max(TRUSTED_KEYS_MAX),
})

/** @throws {HoloError} blame `host`, code `trusted-keys-damaged`, or as `readSecretFile` */
export async function loadKeyLists({ trustedKeys: path }: Pick<StatePaths, 'trustedKeys'>): Promise<KeyLists> {
  const text = await readSecretFile(path, TRUST_JSON_BYTES_MAX)
  if (text === undefined) return NO_KEYS
  try {
    const { trusted, revoked } = file.parse(JSON.parse(text))
    return {
      trusted: trusted.map(({ key, until }) => ({ ...key, ...(until === undefined ? {} : { untilMs: until }) })),
      revoked: revoked.map(({ key, name, since }) => ({
        key,
        ...(name === undefined ? {} : { name }),
        sinceMs: since,
      })),
    }
  } catch (error) {
    const problem = error instanceof z.ZodError ? z.prettifyError(error).split('\n')[0] : messageOf(error)
    throw new HoloError(`${path} is damaged: ${problem}`, {
      code: 'trusted-keys-damaged',
      blame: 'host',
      hint: 'mend it, or remove it and run `holo-peer keys trust` and `keys revoke` again for what stood there',
      cause: error,
    })
  }
}

/** @throws {HoloError} blame `host` */
export async function saveKeyLists(
  { trustedKeys: path }: Pick<StatePaths, 'trustedKeys'>,
  lists: KeyLists,
): Promise<void> {
  await makeStateFolder(dirname(path))
  await writeSecretFile(path, encodeKeyLists(lists), 'in any case')
}
