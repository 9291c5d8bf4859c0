/** Peers and substituters together: the compiled binary on hosts of its own. */
import { afterAll, beforeAll, describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { catalogPath } from '../../src/catalog/layout.ts'
import { FleetHost, hostObstacle } from '../support/fleet-hosts.ts'
import { rootsIn, smallCold, TemporaryDirectory } from '../support/golden.ts'
import { Lan } from '../support/lan.ts'
import { skipUnless } from '../support/skip.ts'

const obstacle = hostObstacle()
const hostTest = skipUnless(obstacle === undefined, obstacle ?? '')
/** Nobody answers there: the LAN leads nowhere else. */
const GONE = { url: 'http://192.0.2.1:8080/', trusted: true }
let lan: Lan
let tree: TemporaryDirectory
let fleet: { invite: string; address: string }
beforeAll(async () => {
  if (obstacle !== undefined) return
  lan = new Lan()
  tree = new TemporaryDirectory()
  const holder = FleetHost.withSmallLibrary(lan)
  await holder.run('push', `file://${tree.path}`)
  // It keeps the first version only, and what that shares with the second.
  for (const version of [2, 3] as const) {
    fs.rmSync(catalogPath(rootsIn(holder.host.home), smallCold('gzip', version).name))
  }
  fleet = await holder.lead()
})
afterAll(async () => {
  await lan?.[Symbol.asyncDispose]()
  tree?.[Symbol.dispose]()
})

async function member(...substituters: unknown[]): Promise<FleetHost> {
  const host = FleetHost.on(lan)
  host.settings({ substituters })
  await host.join(fleet)
  return host
}

describe('peers and substituters', () => {
  hostTest('peers are asked first, and a dead substituter costs nothing then', async () => {
    const b = await member(GONE)
    const report = await b.restoreSmall(1)
    expect(report).toMatchObject({ exitCode: 0, fetched: { blobs: 402 } })
    expect(Object.keys(report.fetched.bySource)).toHaveLength(1)
    expect(report.fetched.bySource[GONE.url]).toBeUndefined()
  })

  hostTest('what peers lack comes from the next, and what they share does not', async () => {
    const url = `file://${tree.path}`
    const b = await member({ url, trusted: true })
    const report = await b.restoreSmall(2)
    expect(report).toMatchObject({ exitCode: 0, source: url })
    expect(b.differencesFromSmall(2)).toEqual([])
    const peers = Object.entries(report.fetched.bySource as Record<string, number>).filter(([name]) => name !== url)
    expect(peers.reduce((sum, [, blobs]) => sum + blobs, 0)).toBeGreaterThan(0)
  })

  hostTest('a daemon gets for its fleet what a substituter has, once', async () => {
    const url = `file://${tree.path}`
    const b = await member({ url, trusted: true })
    await b.startDaemon()
    expect(await b.restoreSmall(3)).toMatchObject({ exitCode: 0, source: url })
    const status = await b.report('status')
    expect(status.daemon.substituters).toMatchObject([{ name: url, state: 'well' }])
    const c = FleetHost.on(lan)
    await c.join({ invite: fleet.invite, address: `${b.host.address}:49737` })
    const report = await c.restoreSmall(3)
    expect(report.exitCode).toBe(0)
    expect(report.fetched.bySource[url]).toBeUndefined()
    expect(fs.existsSync(join(tree.path, 'holo-cache-info'))).toBe(true)
  })
})
