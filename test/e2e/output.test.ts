// Goal: what a command prints arrives, however slow its reader is.
import { expect } from 'bun:test'
import * as fs from 'node:fs'
import { join, resolve } from 'node:path'
import { TemporaryDirectory } from '../support/golden.ts'
import { skipUnless } from '../support/skip.ts'

const binary = resolve(import.meta.dir, '../../dist/holo-peer')
const canRun = fs.existsSync(binary) && process.platform === 'linux'

// Method: the pipe is full before the command starts, and the reader begins later than the command needs to end.
skipUnless(canRun, 'dist/holo-peer is not built, or pipes have another size here')(
  'a result waits in front of a full pipe, and the command with it',
  () => {
    using home = new TemporaryDirectory()
    const script = '{ head -c 65536 /dev/zero; "$0" fleet show --json; } | { sleep 0.5; tail -c +65537; }'
    const { stdout } = Bun.spawnSync(['sh', '-c', script, binary], {
      env: { ...process.env, HOME: home.path, ROBOCORP_HOME: join(home.path, 'rcc') },
    })
    expect(JSON.parse(stdout.toString())).toMatchObject({ ok: true, fleets: [] })
  },
)
