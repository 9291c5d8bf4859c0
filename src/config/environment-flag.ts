/**
 * A switch in the environment, `RCC_LITE_MODE=true`. Stricter than rcc's plans, which take whatever is not `true` for
 * off: a switch that was misspelt should not be off in silence.
 */
import type { EnvironmentValues } from '../catalog/layout.ts'
import { invalidSettings } from './check-section.ts'

/**
 * @returns true for `true`, `1`, `yes`; false for `false`, `0`, `no` and where it is unset or empty; in any case of letters
 * @throws {HoloError} blame `input`: any other value
 */
export function environmentFlag(environment: EnvironmentValues, name: string): boolean {
  const text = environment[name] ?? ''
  const value = text.trim().toLowerCase()
  if (['true', '1', 'yes'].includes(value)) return true
  if (['', 'false', '0', 'no'].includes(value)) return false
  throw invalidSettings(
    `The environment variable ${name} is "${text}", which is neither true nor false`,
    'set it to true or false, or unset it',
  )
}
