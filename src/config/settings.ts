/**
 * The `holo-peer:` section of rcc's own settings.yaml: schema, defaults, and who overrides whom.
 *
 * Flag > environment (`HOLO_PEER_…`) > file > default. rcc ignores sections that it does not know, so one file serves
 * both; inside our section an unknown key is an error that suggests the nearest known one.
 */
import { readFile, stat } from 'node:fs/promises'
import { closest, distance } from 'fastest-levenshtein'
import { parse as parseYaml, YAMLParseError } from 'yaml'
import { z } from 'zod'
import { HoloError, messageOf, systemCodeOf } from '../base/errors.ts'
import { parseHostPort } from '../base/host-port.ts'
import { BOOTSTRAPS_MAX, KEY_RULES_MAX, YAML_BYTES_MAX } from '../base/limits.ts'
import { isKeyText } from '../trust/key-rules.ts'

/** UDP port of the daemon's own DHT bootstrap node. */
export const DEFAULT_PORT = 49737

export interface Settings {
  readonly discovery: {
    /** `private`: only the bootstraps of the fleet; `public`: the internet's DHT too. */
    readonly dht: 'private' | 'public'
    /** `host:port`, in the order given. */
    readonly bootstrap: readonly string[]
    readonly port: number
    /** Whether daemons tell of themselves on the LAN, and everybody listens, by multicast DNS. */
    readonly multicast: boolean
  }
  /** Machines by key or fingerprint. */
  readonly peers: {
    /** Empty: every member of the fleet. */
    readonly allow: readonly string[]
    readonly ban: readonly string[]
  }
}

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

const section = z.strictObject({
  peers: z.strictObject({ allow: keys, ban: keys }).partial().optional(),
  discovery: z
    .strictObject({
      dht: z.enum(['private', 'public']),
      bootstrap: z.array(hostPort).max(BOOTSTRAPS_MAX),
      port,
      multicast: z.boolean(),
    })
    .partial()
    .optional(),
})

type Section = z.infer<typeof section>

/** What outranks the file: flags first, then the environment. Undefined means not given. */
export interface SettingsOverrides {
  readonly port?: number | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
}

/**
 * Read `file` (which need not exist) and lay the overrides over it.
 *
 * @throws {HoloError} blame `input`: unreadable or malformed YAML, an unknown key, a value of the wrong form
 */
export async function loadSettings(file: string, overrides: SettingsOverrides): Promise<Settings> {
  const fromFile = await readSection(file)
  const fromEnvironment = environmentSection(overrides.environment)
  const discovery = { ...fromFile.discovery, ...fromEnvironment.discovery }
  return {
    discovery: {
      dht: discovery.dht ?? 'private',
      bootstrap: discovery.bootstrap ?? [],
      port: overrides.port ?? discovery.port ?? DEFAULT_PORT,
      multicast: discovery.multicast ?? true,
    },
    peers: { allow: fromFile.peers?.allow ?? [], ban: fromFile.peers?.ban ?? [] },
  }
}

async function readSection(file: string): Promise<Section> {
  let text: string
  try {
    const { size } = await stat(file)
    if (size > YAML_BYTES_MAX) throw invalid(`${file} is ${size} bytes long; the limit is ${YAML_BYTES_MAX}`)
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return {}
    if (error instanceof HoloError) throw error
    throw invalid(`Could not read ${file}: ${messageOf(error)}`)
  }
  let document: unknown
  try {
    document = parseYaml(text, { version: '1.1', maxAliasCount: 100 })
  } catch (error) {
    const at = error instanceof YAMLParseError && error.linePos ? ` (line ${error.linePos[0].line})` : ''
    throw invalid(`${file} is not valid YAML${at}: ${messageOf(error).split('\n')[0]}`)
  }
  if (typeof document !== 'object' || document === null || !('holo-peer' in document)) return {}
  return check(document['holo-peer'] ?? {}, (path) => `${['holo-peer', ...path].join('.')} in ${file}`)
}

function environmentSection(environment: SettingsOverrides['environment']): Section {
  const discovery: Record<string, unknown> = {}
  if (environment.HOLO_PEER_DHT) discovery.dht = environment.HOLO_PEER_DHT
  if (environment.HOLO_PEER_BOOTSTRAP)
    discovery.bootstrap = environment.HOLO_PEER_BOOTSTRAP.split(/[\s,]+/).filter(Boolean)
  if (environment.HOLO_PEER_PORT) discovery.port = Number(environment.HOLO_PEER_PORT)
  const multicast = environment.HOLO_PEER_MULTICAST
  if (multicast) discovery.multicast = multicast === 'true' || (multicast === 'false' ? false : multicast)
  return check({ discovery }, (path) => `The environment variable HOLO_PEER_${String(path[1]).toUpperCase()}`)
}

function check(value: unknown, nameOf: (path: readonly PropertyKey[]) => string): Section {
  const result = section.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  if (issue === undefined) throw invalid(`${nameOf([])} is not valid`)
  if (issue.code === 'unrecognized_keys') {
    const unknown = issue.keys[0] ?? ''
    const known = knownKeysAt(issue.path)
    const nearest = closest(unknown, known)
    const near = nearest !== undefined && distance(unknown, nearest) <= Math.max(2, unknown.length / 3)
    throw invalid(
      `${nameOf([...issue.path, unknown])} is not a setting that holo-peer knows`,
      near ? `did you mean ${nearest}?` : `known here: ${known.join(', ')}`,
    )
  }
  throw invalid(`${nameOf(issue.path)} is wrong: ${issue.message}`)
}

function knownKeysAt(path: readonly PropertyKey[]): string[] {
  let schema: unknown = section
  for (const key of path) {
    const shape = unwrap(schema)
    schema = shape instanceof z.ZodObject ? shape.shape[String(key)] : undefined
  }
  const found = unwrap(schema)
  return found instanceof z.ZodObject ? Object.keys(found.shape) : []
}

function unwrap(schema: unknown): unknown {
  return schema instanceof z.ZodOptional ? unwrap(schema.unwrap()) : schema
}

function invalid(message: string, hint = 'correct that entry and run the command again'): HoloError {
  return new HoloError(message, { code: 'settings-invalid', blame: 'input', hint })
}
