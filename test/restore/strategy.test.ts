import { describe, expect, test } from 'bun:test'
import { chooseStrategy } from '../../src/app/strategy-choice.ts'
import { sha256Of } from '../../src/blob/digest.ts'
import { STRATEGIES } from '../../src/catalog/strategies.ts'
import { DEFAULT_SETTINGS } from '../../src/config/settings.ts'
import { type FileShape, type StrategyOptions, WayChooser } from '../../src/restore/strategy.ts'

const never = () => false

function options(part: Partial<StrategyOptions>): StrategyOptions {
  return { strategy: 'auto', hardlinkExcludes: never, copyPatterns: never, linksExecutables: true, ...part }
}

function file(part: Partial<FileShape> = {}): FileShape {
  return { digest: sha256Of(Buffer.from('x')), sizeBytes: 9, mode: 0o644, rewrite: [], ...part }
}

describe('WayChooser', () => {
  test('shares with auto, shares or fails with reflink, writes with copy', () => {
    const way = (strategy: StrategyOptions['strategy']) =>
      new WayChooser(options({ strategy })).choose('lib/a.py', file({ rewrite: [3] }))
    expect(way('auto')).toEqual({ way: 'share' })
    expect(way('reflink')).toEqual({ way: 'share-only' })
    expect(way('copy')).toEqual({ way: 'write' })
  })

  test('links what may be linked, and says why not', () => {
    const hardlinkExcludes = (path: string) => path.endsWith('.so')
    const chooser = new WayChooser(options({ strategy: 'smart', hardlinkExcludes }))
    expect(chooser.choose('a', file())).toEqual({ way: 'link' })
    expect(chooser.choose('b', file())).toEqual({ way: 'link' })
    const exceptions: [path: string, shape: FileShape, exception: string][] = [
      ['relocated', file({ rewrite: [0] }), 'relocated'],
      ['empty', file({ sizeBytes: 0 }), 'empty'],
      ['setuid', file({ mode: 0o4755 }), 'special-mode'],
      ['lib/x.so', file(), 'excluded'],
      // The inode can have only one mode, and the first file's it is.
      ['another mode', file({ mode: 0o755 }), 'second-mode'],
    ]
    for (const [path, shape, exception] of exceptions) {
      expect(chooser.choose(path, shape)).toEqual({ way: 'share', exception: exception as never })
    }
    // What is not linked does not decide on the mode of those that are.
    const other = file({ digest: sha256Of(Buffer.from('y')), mode: 0o755 })
    expect(chooser.choose('y.so', other).exception).toBe('excluded')
    expect(chooser.choose('y', { ...other, mode: 0o644 })).toEqual({ way: 'link' })
  })

  test('heeds excludes with smart only, and copy patterns always', () => {
    const all = () => true
    expect(new WayChooser(options({ strategy: 'hardlink', hardlinkExcludes: all })).choose('a', file())).toEqual({
      way: 'link',
    })
    for (const strategy of STRATEGIES) {
      const { way } = new WayChooser(options({ strategy, copyPatterns: all })).choose('a', file())
      expect(way).toBe('write')
    }
  })

  test('copies programs where a signature would not hold for another inode', () => {
    const chooser = new WayChooser(options({ strategy: 'hardlink', linksExecutables: false }))
    expect(chooser.choose('bin/python', file({ mode: 0o755 }))).toEqual({ way: 'share', exception: 'executable' })
  })
})

describe('chooseStrategy()', () => {
  const { holotree } = DEFAULT_SETTINGS

  test('never links to a library that several users share, and says so once', () => {
    const modes = { ...holotree.modes, sharedMode: true }
    for (const strategy of STRATEGIES) {
      const links = ['hardlink', 'smart', 'symlink'].includes(strategy)
      for (const choice of [
        chooseStrategy({ ...holotree, strategy }, true),
        chooseStrategy({ ...holotree, strategy, modes }, false),
      ]) {
        expect(choice.options.strategy).toBe(links ? 'auto' : strategy)
        expect(choice.warning === undefined).toBe(!links)
      }
      expect(chooseStrategy({ ...holotree, strategy }, false)).toMatchObject({
        options: { strategy },
        warning: undefined,
      })
    }
  })

  test('takes the patterns of the settings', () => {
    const { options: chosen } = chooseStrategy({ ...holotree, copyPatterns: ['*.db'] }, false)
    expect(chosen.hardlinkExcludes('lib/python3.11/__pycache__/a.txt')).toBe(true)
    expect(chosen.hardlinkExcludes('lib/a.py')).toBe(false)
    expect(chosen.copyPatterns('share/x.db')).toBe(true)
  })
})
