/** Which strategy a restore may use: what the settings want, unless the library is shared between users. */
import { pathPattern } from '../catalog/path-pattern.ts'
import { linksToLibrary } from '../catalog/strategies.ts'
import type { HolotreeSettings } from '../config/holotree-settings.ts'
import type { StrategyOptions } from '../restore/strategy.ts'

export interface StrategyChoice {
  readonly options: StrategyOptions
  /** Why it is another one than was asked for, and what to do. */
  readonly warning: string | undefined
}

/** @param sharedHolotree whether this user has switched to the shared holotree */
export function chooseStrategy(settings: HolotreeSettings, sharedHolotree: boolean): StrategyChoice {
  const { strategy, hardlinkExcludes, copyPatterns, modes } = settings
  const shared = sharedHolotree || modes.sharedMode
  const refused = shared && linksToLibrary(strategy)
  const remedy = sharedHolotree ? 'use a library of your own' : 'unset RCC_SHARED_MODE'
  return {
    options: {
      strategy: refused ? 'auto' : strategy,
      hardlinkExcludes: pathPattern(hardlinkExcludes),
      copyPatterns: pathPattern(copyPatterns),
      linksExecutables: process.platform !== 'darwin',
    },
    warning: refused
      ? `strategy ${strategy} is not used with a library that several users share, since a robot that writes a file ` +
        `would change it for all; files are cloned or copied (set strategy auto to say so, or ${remedy})`
      : undefined,
  }
}
