/**
 * `holo-peer.substituters`: where environments come from, in the order of asking.
 *
 * An entry is a URI, or a URI with terms. The order is that of the list; where entries have a `priority`, the lower one
 * is asked first. `peers`, the machines of the fleet, come first unless the list says where.
 */
import { parseDuration } from '../base/duration.ts'
import { TRUSTED_KEYS_MAX } from '../base/limits.ts'
import { parseRate } from '../base/quantity.ts'
import { z } from '../base/schema.ts'
import { SUBSTITUTER_RETRIES_MAX, SUBSTITUTERS_MAX } from '../base/substituter-limits.ts'
import { parseSourceAddress } from '../blob/source-address.ts'
import { parseKey } from '../trust/key-text.ts'
import { invalidSettings } from './check-section.ts'
import { DEFAULT_SUBSTITUTER, PEERS_FIRST, type SubstituterSetting } from './settings.ts'

const address = z.string().superRefine((text, context) => {
  const parsed = parseSourceAddress(text)
  if (typeof parsed === 'string') context.addIssue({ code: 'custom', message: `it ${parsed}` })
})

const duration = z.string().refine((text) => (parseDuration(text) ?? 0) > 0, {
  error: 'must be a duration, like 500ms or 10s',
})

const trustedKey = z.string().refine((text) => parseKey(text) !== undefined, {
  error: 'must be a key as `holo-peer keys export` prints it: name:base64',
})

const terms = z.strictObject({
  url: address,
  priority: z.int().min(0).max(1000).optional(),
  trusted: z.boolean().optional(),
  'trusted-keys': z.array(trustedKey).max(TRUSTED_KEYS_MAX).optional(),
  timeout: duration.optional(),
  'connect-timeout': duration.optional(),
  retries: z.int().min(0).max(SUBSTITUTER_RETRIES_MAX).optional(),
  bandwidth: z
    .string()
    .refine((text) => parseRate(text) !== undefined, { error: 'must be written like 50 MB/s or 100 Mbit/s' })
    .optional(),
  'credentials-env': z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'must be the name of a variable' })
    .optional(),
  'credentials-file': z.string().startsWith('/', { error: 'must be an absolute path' }).optional(),
})

/** An entry that is only a URI stands for one with the usual terms. */
export const substitutersSection = z
  .array(z.preprocess((entry) => (typeof entry === 'string' ? { url: entry } : entry), terms))
  .max(SUBSTITUTERS_MAX)

/**
 * @returns in the order of asking, `peers` among them
 * @throws {HoloError} blame `input`: an entry that stands twice, terms that mean nothing to it, two places of credentials
 */
export function substituterSettings(
  entries: z.infer<typeof substitutersSection> | undefined,
  file: string,
): readonly SubstituterSetting[] {
  if (entries === undefined) return PEERS_FIRST
  const settings = entries.map((entry) => settingOf(entry, file))
  const labels = settings.map(({ address: { label } }) => label)
  const twice = labels.find((label, index) => labels.indexOf(label) !== index)
  if (twice !== undefined) throw invalidSettings(`${twice} stands twice in holo-peer.substituters in ${file}`)
  const all = labels.includes('peers') ? settings : [...PEERS_FIRST, ...settings]
  return all.toSorted((left, right) => left.priority - right.priority)
}

function settingOf(entry: z.infer<typeof terms>, file: string): SubstituterSetting {
  const parsed = parseSourceAddress(entry.url)
  if (typeof parsed === 'string') throw invalidSettings(`${entry.url} in ${file} ${parsed}`)
  const meaningless = Object.keys(entry).find((key) => key !== 'url' && key !== 'priority')
  if (parsed.kind === 'peers' && meaningless !== undefined) {
    throw invalidSettings(`${meaningless} means nothing for the entry "peers" of holo-peer.substituters in ${file}`)
  }
  if (entry['credentials-env'] !== undefined && entry['credentials-file'] !== undefined) {
    throw invalidSettings(`${entry.url} in ${file} has both credentials-env and credentials-file`)
  }
  const defaults = DEFAULT_SUBSTITUTER
  return {
    address: parsed,
    priority: entry.priority ?? defaults.priority,
    trusted: entry.trusted ?? defaults.trusted,
    trustedKeys: entry['trusted-keys'] ?? defaults.trustedKeys,
    timeoutMs: parseDuration(entry.timeout ?? '') ?? defaults.timeoutMs,
    connectTimeoutMs: parseDuration(entry['connect-timeout'] ?? '') ?? defaults.connectTimeoutMs,
    retries: entry.retries ?? defaults.retries,
    bytesPerSecond: entry.bandwidth === undefined ? undefined : parseRate(entry.bandwidth),
    credentialsEnv: entry['credentials-env'],
    credentialsFile: entry['credentials-file'],
  }
}
