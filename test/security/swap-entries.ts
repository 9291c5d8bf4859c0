/**
 * The attacker of hostile-space.test.ts. Arguments: space, a directory outside, a seed. Says `ready`, then tears at the
 * space until it is killed; all below descriptors that follow no link, so that whatever happens outside is not its work.
 */

import { pauseThread } from '../../src/base/clock.ts'
import { AT_FDCWD, cString, libc, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_WRONLY } from '../../src/base/libc.ts'
import { seededRandom } from '../../src/base/random.ts'

const AT_REMOVEDIR = 0x200
const [space = '', outside = '', seed = ''] = process.argv.slice(2)
const random = seededRandom(Number(seed))
const system = libc()
const below = (parent: number, name: string) =>
  system.openat(parent, cString(name), O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0)
const pick = (count: number) => Math.floor(random.next() * count)

/** Tear at entry `name` of the directory that is open as `parent`. */
function tear(parent: number, name: string, others: () => string): void {
  const away = cString(`${name}.away${pick(1000)}`)
  const target = cString(name)
  const what = pick(4)
  if (what === 3) {
    // A directory where a file stands, with something in it.
    const directory = below(parent, name)
    if (directory < 0) return
    const other = others()
    system.unlinkat(directory, cString(other), 0)
    system.mkdirat(directory, cString(other), 0o750)
    const inner = below(directory, other)
    if (inner >= 0) system.mkdirat(inner, cString('inner'), 0o750)
    system.close(inner)
    system.close(directory)
    return
  }
  system.renameat(parent, target, parent, away)
  if (what === 0) system.symlinkat(cString(outside), parent, target)
  if (what === 1) system.close(system.openat(parent, target, O_WRONLY | O_CREAT | O_NOFOLLOW, 0o644))
  if (what === 2) system.unlinkat(parent, away, AT_REMOVEDIR)
}

process.stdout.write('ready\n')
for (;;) {
  // Every third attacker is slow, so that some restores get through.
  if (Number(seed) % 3 === 0) pauseThread(pick(400))
  const root = below(AT_FDCWD, space)
  if (root < 0) continue
  const at = 40 * pick(26)
  const file = () => `f${at + pick(40)}.py`
  if (random.next() < 0.5) tear(root, `d${at}`, () => 'deep')
  else {
    const directory = below(root, `d${at}`)
    if (directory >= 0) tear(directory, 'deep', file)
    system.close(directory)
  }
  system.close(root)
}
