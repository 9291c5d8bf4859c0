/**
 * The `holotree:` section of settings.yaml and the variables beside it: how spaces are restored, and how blobs lie in
 * the library.
 *
 * Names and variables are those of rcc's own plans for the same things. Knows nothing of how a strategy is carried out.
 */
import { PATTERNS_MAX } from '../base/limits.ts'
import { z } from '../base/schema.ts'
import type { Compression } from '../blob/gzip.ts'
import type { EnvironmentValues } from '../catalog/layout.ts'
import { patternFault } from '../catalog/path-pattern.ts'
import { STRATEGIES, type Strategy, VERIFICATIONS, type Verification } from '../catalog/strategies.ts'
import { checkSection } from './check-section.ts'
import { environmentFlag } from './environment-flag.ts'
import { DEFAULT_SETTINGS } from './settings.ts'

export interface HolotreeSettings {
  readonly strategy: Strategy
  /** Patterns (`pathPattern`) of what `smart` does not link. */
  readonly hardlinkExcludes: readonly string[]
  /** Patterns of what is copied under every strategy. */
  readonly copyPatterns: readonly string[]
  readonly verification: Verification
  /** How ingest writes blobs; content that begins like gzip is gzip in either case. */
  readonly compression: Compression
  readonly modes: {
    /** RCC_FAST_MODE: trusted verification, and no output but the result. */
    readonly fast: boolean
    /** RCC_LITE_MODE: no journal and no statistics; usage stamps are renewed once a day. */
    readonly lite: boolean
    /** RCC_SHARED_MODE: several users restore from this library, so no inode of it may be shared with a space. */
    readonly sharedMode: boolean
  }
}

const patterns = z
  .array(
    z.string().superRefine((pattern, context) => {
      const fault = patternFault(pattern)
      if (fault !== undefined) context.addIssue({ code: 'custom', message: `the pattern ${fault}` })
    }),
  )
  .max(PATTERNS_MAX)

export const holotreeSection = z
  .strictObject({
    strategy: z.enum(STRATEGIES),
    'restoration-strategy': z.enum(STRATEGIES),
    'hardlink-excludes': patterns,
    'copy-patterns': patterns,
    verification: z.enum(VERIFICATIONS),
    compression: z.enum(['raw', 'gzip']),
  })
  .partial()

/** Flags; undefined means not given. */
export interface HolotreeFlags {
  readonly strategy?: Strategy | undefined
  readonly verification?: Verification | undefined
}

/**
 * Flags over environment over file over defaults. In the file `strategy` outranks `restoration-strategy`, which is what
 * rcc's plans call the same; in the environment skipping outranks the fast mode's trust.
 *
 * @throws {HoloError} blame `input`: a variable has no value that is known
 */
export function holotreeSettings(
  file: z.infer<typeof holotreeSection>,
  flags: HolotreeFlags,
  environment: EnvironmentValues,
): HolotreeSettings {
  const defaults = DEFAULT_SETTINGS.holotree
  const modes = {
    fast: environmentFlag(environment, 'RCC_FAST_MODE'),
    lite: environmentFlag(environment, 'RCC_LITE_MODE'),
    sharedMode: environmentFlag(environment, 'RCC_SHARED_MODE'),
  }
  const fast = modes.fast ? 'trusted' : undefined
  const trust = environmentFlag(environment, 'RCC_SKIP_VERIFICATION') ? 'skip' : fast
  return {
    strategy:
      flags.strategy ?? strategyIn(environment) ?? file.strategy ?? file['restoration-strategy'] ?? defaults.strategy,
    hardlinkExcludes: file['hardlink-excludes'] ?? defaults.hardlinkExcludes,
    copyPatterns: file['copy-patterns'] ?? defaults.copyPatterns,
    verification: flags.verification ?? trust ?? file.verification ?? defaults.verification,
    compression: file.compression ?? defaults.compression,
    modes,
  }
}

function strategyIn({ RCC_HOLOTREE_STRATEGY: text }: EnvironmentValues): Strategy | undefined {
  if (!text) return undefined
  return checkSection(z.enum(STRATEGIES), text, () => 'The environment variable RCC_HOLOTREE_STRATEGY')
}
