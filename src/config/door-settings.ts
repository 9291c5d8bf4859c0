/** `holo-peer.door` in settings.yaml and the variables beside it: where rcc's door is, and who may come. */
import { isIP } from 'node:net'
import { z } from '../base/schema.ts'
import type { EnvironmentValues } from '../catalog/layout.ts'
import { environmentFlag } from './environment-flag.ts'
import { DEFAULT_SETTINGS } from './settings.ts'

export interface DoorSettings {
  readonly enabled: boolean
  /** `localhost`, for both loopback addresses, or an IP address. */
  readonly address: string
  readonly port: number
  /** Whether other machines may come without a token. */
  readonly open: boolean
  /** From the environment; outranks `tokenFile`. */
  readonly token: string | undefined
  /** Path of a file that holds it. */
  readonly tokenFile: string | undefined
}

export const doorSection = z
  .strictObject({
    enabled: z.boolean(),
    address: z.string().refine((text) => text === 'localhost' || isIP(text) !== 0, {
      error: 'must be localhost or an IP address of this machine, like 10.0.0.7, or 0.0.0.0 for all of them',
    }),
    port: z.int().min(1).max(65535),
    open: z.boolean(),
    'token-file': z.string().min(1).max(4096),
  })
  .partial()

/** What the environment says, in the form of the section; to be checked like one. */
export function doorInEnvironment(environment: EnvironmentValues): Record<string, unknown> {
  const section: Record<string, unknown> = {}
  if (environment.HOLO_PEER_DOOR) section.enabled = environmentFlag(environment, 'HOLO_PEER_DOOR')
  if (environment.HOLO_PEER_DOOR_ADDRESS) section.address = environment.HOLO_PEER_DOOR_ADDRESS
  if (environment.HOLO_PEER_DOOR_PORT) section.port = Number(environment.HOLO_PEER_DOOR_PORT)
  return section
}

/** Environment over file over defaults; both checked. */
export function doorSettings(
  file: z.infer<typeof doorSection>,
  inEnvironment: z.infer<typeof doorSection>,
  environment: EnvironmentValues,
): DoorSettings {
  const defaults = DEFAULT_SETTINGS.door
  return {
    enabled: inEnvironment.enabled ?? file.enabled ?? defaults.enabled,
    address: inEnvironment.address ?? file.address ?? defaults.address,
    port: inEnvironment.port ?? file.port ?? defaults.port,
    open: file.open ?? defaults.open,
    token: environment.HOLO_PEER_DOOR_TOKEN || undefined,
    tokenFile: file['token-file'],
  }
}
