/** The real rcc, named by RCC_BIN: what it takes for the same cold restore, for comparison only. */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { rccBinary, restoreArguments } from '../../test/support/rcc-hosts.ts'
import { ROBOT_ENVIRONMENT, removeSpace } from './holo-peer.ts'
import type { Home } from './home.ts'
import { measured } from './process.ts'

/**
 * Cold restores of `home` by rcc, without a network and with an /opt of its own, where it makes its shared holotree.
 *
 * @param opt an empty folder
 * @returns milliseconds of each; undefined where RCC_BIN names no rcc
 */
export function rccRestores(home: Home, rounds: number, opt: string): number[] | undefined {
  if (rccBinary === undefined) return undefined
  const rcc = rccBinary
  fs.mkdirSync(opt)
  return Array.from({ length: rounds }, (_, round) => {
    const space = `rcc ${round}`
    const command = ['unshare', '--mount', '--net', 'sh', '-c', 'mount --bind "$0" /opt && exec "$@"', opt, rcc]
    const { ms } = measured([...command, ...restoreArguments(home.robotFile, space)], {
      ...ROBOT_ENVIRONMENT,
      ROBOCORP_HOME: home.path,
    })
    removeSpace(join(home.roots.holotree, home.spaceName(space)))
    return ms
  })
}
