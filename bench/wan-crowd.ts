/**
 * Peers that start together where only an S3 bucket has the environment: what leaves the bucket, against what one machine
 * alone takes from it.
 */
import { join } from 'node:path'
import { FleetHost, goldenEnvironment, type Report } from '../test/support/fleet-hosts.ts'
import type { Lan } from '../test/support/lan.ts'
import { startS3 } from '../test/support/s3-host.ts'

/** Of the bucket's link. */
const MEGABITS = 100
const v1 = join(goldenEnvironment, 'v1', 'robot.yaml')

export interface WanCrowd {
  /** Bytes from the bucket as Ethernet frames, and milliseconds until the last one was through. */
  readonly together: { readonly bytes: number; readonly ms: number }
  readonly alone: { readonly bytes: number; readonly ms: number }
}

/** @param server holds the environment; the bucket is made there */
export async function wanCrowd(lan: Lan, server: FleetHost, count: number): Promise<WanCrowd> {
  const s3 = await startS3(lan, server)
  s3.shape(MEGABITS)
  const machine = (): FleetHost => {
    const host = FleetHost.on(lan)
    host.settings({ substituters: ['peers', s3.entry] })
    return host
  }
  const fetched = async (hosts: readonly FleetHost[]) => {
    const [before, startedMs] = [s3.sentBytes(), performance.now()]
    const reports: Report[] = await Promise.all(hosts.map((host) => host.report('fetch', v1)))
    const failed = reports.find(({ exitCode }) => exitCode !== 0)
    if (failed !== undefined) throw new Error(JSON.stringify(failed.error))
    return { bytes: s3.sentBytes() - before, ms: performance.now() - startedMs }
  }
  const alone = await fetched([machine()])
  const hosts = Array.from({ length: count }, machine)
  const [first, ...others] = hosts
  const fleet = await first?.lead()
  if (fleet === undefined) throw new Error('a crowd has one machine at least')
  for (const host of others) {
    await host.join(fleet)
    await host.startDaemon()
  }
  for (const host of hosts) {
    await host.connectedWith(...hosts.filter((other) => other !== host).map((other) => other.host.address))
  }
  const together = await fetched(hosts)
  for (const host of hosts) await host.stopDaemon()
  return { together, alone }
}
