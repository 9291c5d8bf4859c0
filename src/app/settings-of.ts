/** The settings of this machine, apart from its fleets: a restore at home needs nothing else. */
import { loadSettings, type Settings, type SettingsOverrides } from '../config/settings.ts'
import type { Machine } from './machine.ts'

/** @param flags what outranks file and environment @throws {HoloError} as `loadSettings` */
export async function settingsOf(
  machine: Machine,
  flags: Omit<SettingsOverrides, 'environment'> = {},
): Promise<Settings> {
  return loadSettings(machine.settingsFile, { ...flags, environment: machine.environment })
}
