/**
 * What holo-peer is set to: flag > environment > file > default.
 *
 * Where there is no settings.yaml and no variable, which is the usual case, the defaults are all there is, and the
 * schemas are not even loaded: they would take a tenth of a restore's time.
 */
import { existsSync } from 'node:fs'
import { LANE_QUEUE_BYTES } from '../base/lane-limits.ts'
import { PIECE_STORE_BYTES } from '../base/limits.ts'
import { SUBSTITUTER_CONNECT_MS, SUBSTITUTER_RETRIES, SUBSTITUTER_SILENCE_MS } from '../base/substituter-limits.ts'
import { UPLOAD_SLOTS, UPLOAD_WANTS_MAX } from '../base/upload-limits.ts'
import type { SourceAddress } from '../blob/source-address.ts'
import type { EnvironmentValues } from '../catalog/layout.ts'
import type { DoorSettings } from './door-settings.ts'
import type { HolotreeFlags, HolotreeSettings } from './holotree-settings.ts'

/** UDP port of the daemon's own DHT bootstrap node. */
export const DEFAULT_PORT = 49737

/** TCP port of the daemon's lanes. */
export const DEFAULT_LANE_PORT = 49737

/** TCP port of rcc's door: that of rccremote. */
export const DEFAULT_DOOR_PORT = 4653

/** What cannot be shared with the library: Python writes the first three in place, loaders keep the last one mapped. */
export const DEFAULT_HARDLINK_EXCLUDES: readonly string[] = ['*.pyc', '*.pyo', '__pycache__/*', '*.so']

/** One source of environments, and the terms on which it is asked. */
export interface SubstituterSetting {
  readonly address: SourceAddress
  /** Lower ones are asked first; those with the same one in the order of the list. */
  readonly priority: number
  /** What it offers needs no signature. */
  readonly trusted: boolean
  /** `name:base64`: keys whose word counts for what it offers, beside those of this machine. */
  readonly trustedKeys: readonly string[]
  /** How long it may be silent while it owes something. */
  readonly timeoutMs: number
  readonly connectTimeoutMs: number
  /** Attempts after the first, for what can pass. */
  readonly retries: number
  /** Undefined: no bound. */
  readonly bytesPerSecond: number | undefined
  /** The variable, or the file by absolute path, that holds its credentials. */
  readonly credentialsEnv: string | undefined
  readonly credentialsFile: string | undefined
}

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
  readonly lane: {
    /** TCP, of a daemon. */
    readonly port: number
  }
  readonly limits: {
    /** Bytes a second that leave this machine in pieces, and that come; undefined for as many as go. */
    readonly upload: number | undefined
    readonly download: number | undefined
    /** The same for what comes from all substituters together, but those of `file://`. */
    readonly wanDownload: number | undefined
    /** Peers that are served at the same time, and wants that one of them may have open. */
    readonly slots: number
    readonly slotsPerPeer: number
    /** Bytes that wait for the network, at most, per connection. */
    readonly connectionMemory: number
    /** Bytes of prepared pieces that are kept. */
    readonly pieceStore: number
  }
  /** Machines by key or fingerprint. */
  readonly peers: {
    /** Empty: every member of the fleet. */
    readonly allow: readonly string[]
    readonly ban: readonly string[]
  }
  readonly door: DoorSettings
  /** In the order of asking; `peers`, the machines of the fleet, is one of them. */
  readonly substituters: readonly SubstituterSetting[]
  /** Whose word for a catalog counts. */
  readonly trust: {
    readonly rule: 'fleet' | 'keys'
    /** `name:base64`; beside those of the state folder. */
    readonly trustedKeys: readonly string[]
    /** As `KeyRules` takes them; beside those of the state folder. */
    readonly revokedKeys: readonly string[]
  }
  readonly holotree: HolotreeSettings
}

/** What outranks the file: flags first, then the environment. Undefined means not given. */
export interface SettingsOverrides extends HolotreeFlags {
  readonly port?: number | undefined
  readonly environment: EnvironmentValues
}

export const DEFAULT_SUBSTITUTER: Omit<SubstituterSetting, 'address'> = {
  priority: 50,
  trusted: false,
  trustedKeys: [],
  timeoutMs: SUBSTITUTER_SILENCE_MS,
  connectTimeoutMs: SUBSTITUTER_CONNECT_MS,
  retries: SUBSTITUTER_RETRIES,
  bytesPerSecond: undefined,
  credentialsEnv: undefined,
  credentialsFile: undefined,
}

export const PEERS_FIRST: readonly SubstituterSetting[] = [
  { ...DEFAULT_SUBSTITUTER, address: { kind: 'peers', label: 'peers' } },
]

export const DEFAULT_SETTINGS: Settings = {
  discovery: { dht: 'private', bootstrap: [], port: DEFAULT_PORT, multicast: true },
  lane: { port: DEFAULT_LANE_PORT },
  limits: {
    upload: undefined,
    download: undefined,
    wanDownload: undefined,
    slots: UPLOAD_SLOTS,
    slotsPerPeer: UPLOAD_WANTS_MAX,
    connectionMemory: LANE_QUEUE_BYTES,
    pieceStore: PIECE_STORE_BYTES,
  },
  peers: { allow: [], ban: [] },
  door: {
    enabled: true,
    address: 'localhost',
    port: DEFAULT_DOOR_PORT,
    open: false,
    token: undefined,
    tokenFile: undefined,
  },
  substituters: PEERS_FIRST,
  trust: { rule: 'fleet', trustedKeys: [], revokedKeys: [] },
  holotree: {
    strategy: 'auto',
    hardlinkExcludes: DEFAULT_HARDLINK_EXCLUDES,
    copyPatterns: [],
    verification: 'trusted',
    compression: 'raw',
    modes: { fast: false, lite: false, sharedMode: false },
  },
}

/** Variables that say nothing about settings, however they begin. */
const OTHER_VARIABLES: readonly string[] = ['HOLO_PEER_FLEET_SECRET']
const RCC_VARIABLES: readonly string[] = [
  'RCC_HOLOTREE_STRATEGY',
  'RCC_SKIP_VERIFICATION',
  'RCC_FAST_MODE',
  'RCC_LITE_MODE',
  'RCC_SHARED_MODE',
]

/**
 * Read `file` (which need not exist) and lay the overrides over it.
 *
 * @throws {HoloError} blame `input`: unreadable or malformed YAML, an unknown key, a value of the wrong form
 */
export async function loadSettings(file: string, overrides: SettingsOverrides): Promise<Settings> {
  if (existsSync(file) || Object.keys(overrides.environment).some(isSetting)) {
    const { checkedSettings } = await import('./checked-settings.ts')
    return checkedSettings(file, overrides)
  }
  const { discovery, lane, limits, peers, door, substituters, trust, holotree } = DEFAULT_SETTINGS
  const { port, strategy, verification } = overrides
  return {
    discovery: { ...discovery, port: port ?? discovery.port },
    lane,
    limits,
    peers,
    door,
    substituters,
    trust,
    holotree: {
      ...holotree,
      strategy: strategy ?? holotree.strategy,
      verification: verification ?? holotree.verification,
    },
  }
}

function isSetting(variable: string): boolean {
  if (OTHER_VARIABLES.includes(variable)) return false
  return variable.startsWith('HOLO_PEER_') || RCC_VARIABLES.includes(variable)
}
