/**
 * The sections `holo-peer:` and `holotree:` of rcc's own settings.yaml: schema, defaults, and who overrides whom.
 *
 * Flag > environment (`HOLO_PEER_…`, and rcc's `RCC_…` for the second) > file > default. rcc ignores sections that it
 * does not know, so one file serves both; inside these two an unknown key is an error that suggests the nearest one.
 */
import { readFile, stat } from 'node:fs/promises'
import { parse as parseYaml, YAMLParseError } from 'yaml'
import { HoloError, messageOf, systemCodeOf } from '../base/errors.ts'
import { parseHostPort } from '../base/host-port.ts'
import { BOOTSTRAPS_MAX, KEY_RULES_MAX, TRUSTED_KEYS_MAX, YAML_BYTES_MAX } from '../base/limits.ts'
import { z } from '../base/schema.ts'
import { isKeyText } from '../trust/key-rules.ts'
import { keyHex, parseKey } from '../trust/key-text.ts'
import { checkSection, invalidSettings } from './check-section.ts'
import { doorInEnvironment, doorSection, doorSettings } from './door-settings.ts'
import { holotreeSection, holotreeSettings } from './holotree-settings.ts'
import { limitsSection, limitsSettings } from './limits-settings.ts'
import { DEFAULT_SETTINGS, type Settings, type SettingsOverrides } from './settings.ts'
import { substituterSettings, substitutersSection } from './substituter-settings.ts'

const port = z.int().min(0).max(65535)
const hostPort = z.string().refine((text) => parseHostPort(text) !== undefined, {
  error: 'must be written host:port, like 10.0.0.7:49737',
})

const keys = z
  .array(
    z.string().refine(isKeyText, {
      error: 'must be a fingerprint as `holo-peer peers` shows it, like k5w3-8xqh-9m2p, or a key of 64 hex digits',
    }),
  )
  .max(KEY_RULES_MAX)

const trustedKey = z.string().refine((text) => parseKey(text) !== undefined, {
  error: 'must be a key as `holo-peer keys export` prints it: name:base64',
})
const revokedKey = z.string().transform((text, context) => {
  const key = parseKey(text)
  if (key !== undefined) return keyHex(key.publicKey)
  if (isKeyText(text)) return text
  context.addIssue({ code: 'custom', message: 'must be a key (name:base64, or 64 hex digits) or a fingerprint' })
  return z.NEVER
})

const section = z.strictObject({
  peers: z.strictObject({ allow: keys, ban: keys }).partial().optional(),
  substituters: substitutersSection.optional(),
  lane: z.strictObject({ port }).partial().optional(),
  limits: limitsSection.optional(),
  trust: z.enum(['fleet', 'keys']).optional(),
  'trusted-keys': z.array(trustedKey).max(TRUSTED_KEYS_MAX).optional(),
  'revoked-keys': z.array(revokedKey).max(TRUSTED_KEYS_MAX).optional(),
  discovery: z
    .strictObject({
      dht: z.enum(['private', 'public']),
      bootstrap: z.array(hostPort).max(BOOTSTRAPS_MAX),
      port,
      multicast: z.boolean(),
    })
    .partial()
    .optional(),
  door: doorSection.optional(),
})

type Section = z.infer<typeof section>

/**
 * Read `file` (which need not exist) and lay the overrides over it.
 *
 * @throws {HoloError} blame `input`: unreadable or malformed YAML, an unknown key, a value of the wrong form
 */
export async function checkedSettings(file: string, overrides: SettingsOverrides): Promise<Settings> {
  const document = await readDocument(file)
  const nameIn = (name: string) => (path: readonly PropertyKey[]) => `${[name, ...path].join('.')} in ${file}`
  const fromFile = checkSection(section, document['holo-peer'] ?? {}, nameIn('holo-peer'))
  const holotree = checkSection(holotreeSection, document.holotree ?? {}, nameIn('holotree'))
  const fromEnvironment = environmentSection(overrides.environment)
  const discovery = { ...fromFile.discovery, ...fromEnvironment.discovery }
  const defaults = DEFAULT_SETTINGS.discovery
  return {
    discovery: {
      dht: discovery.dht ?? defaults.dht,
      bootstrap: discovery.bootstrap ?? defaults.bootstrap,
      port: overrides.port ?? discovery.port ?? defaults.port,
      multicast: discovery.multicast ?? defaults.multicast,
    },
    limits: limitsSettings(fromFile.limits ?? {}),
    lane: { port: fromEnvironment.lane?.port ?? fromFile.lane?.port ?? DEFAULT_SETTINGS.lane.port },
    peers: {
      allow: fromFile.peers?.allow ?? DEFAULT_SETTINGS.peers.allow,
      ban: fromFile.peers?.ban ?? DEFAULT_SETTINGS.peers.ban,
    },
    door: doorSettings(fromFile.door ?? {}, fromEnvironment.door ?? {}, overrides.environment),
    substituters: substituterSettings(fromFile.substituters, file),
    trust: {
      rule: fromEnvironment.trust ?? fromFile.trust ?? DEFAULT_SETTINGS.trust.rule,
      trustedKeys: fromFile['trusted-keys'] ?? DEFAULT_SETTINGS.trust.trustedKeys,
      revokedKeys: fromFile['revoked-keys'] ?? DEFAULT_SETTINGS.trust.revokedKeys,
    },
    holotree: holotreeSettings(holotree, overrides, overrides.environment),
  }
}

async function readDocument(file: string): Promise<Readonly<Record<string, unknown>>> {
  let text: string
  try {
    const { size } = await stat(file)
    if (size > YAML_BYTES_MAX) throw invalidSettings(`${file} is ${size} bytes long; the limit is ${YAML_BYTES_MAX}`)
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return {}
    if (error instanceof HoloError) throw error
    throw invalidSettings(`Could not read ${file}: ${messageOf(error)}`)
  }
  let document: unknown
  try {
    document = parseYaml(text, { version: '1.1', maxAliasCount: 100 })
  } catch (error) {
    const at = error instanceof YAMLParseError && error.linePos ? ` (line ${error.linePos[0].line})` : ''
    throw invalidSettings(`${file} is not valid YAML${at}: ${messageOf(error).split('\n')[0]}`)
  }
  return typeof document === 'object' && document !== null ? { ...document } : {}
}

function environmentSection(environment: SettingsOverrides['environment']): Section {
  const discovery: Record<string, unknown> = {}
  if (environment.HOLO_PEER_DHT) discovery.dht = environment.HOLO_PEER_DHT
  if (environment.HOLO_PEER_BOOTSTRAP)
    discovery.bootstrap = environment.HOLO_PEER_BOOTSTRAP.split(/[\s,]+/).filter(Boolean)
  if (environment.HOLO_PEER_PORT) discovery.port = Number(environment.HOLO_PEER_PORT)
  const multicast = environment.HOLO_PEER_MULTICAST
  if (multicast) discovery.multicast = multicast === 'true' || (multicast === 'false' ? false : multicast)
  const lane = environment.HOLO_PEER_LANE_PORT ? { port: Number(environment.HOLO_PEER_LANE_PORT) } : {}
  const trust = environment.HOLO_PEER_TRUST ? { trust: environment.HOLO_PEER_TRUST } : {}
  const given = { discovery, lane, door: doorInEnvironment(environment), ...trust }
  return checkSection(section, given, ([of, key = of]) => {
    const prefix = of === 'lane' || of === 'door' ? `${of}_` : ''
    return `The environment variable HOLO_PEER_${`${prefix}${String(key)}`.toUpperCase()}`
  })
}
