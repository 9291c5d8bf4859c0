/** One pays the WAN: daemons that lack the same environment, a real S3 server, and the bytes that leave it. */
import { describe, expect } from 'bun:test'
import { join } from 'node:path'
import { never } from '../../src/base/clock.ts'
import { Library } from '../../src/store/library.ts'
import { FleetHost, fleetObstacle, goldenEnvironment, hostObstacle, smallRobot } from '../support/fleet-hosts.ts'
import { environmentVersion, rootsIn, smallCold } from '../support/golden.ts'
import { Lan } from '../support/lan.ts'
import { motoObstacle } from '../support/moto.ts'
import { type S3Host, startS3 } from '../support/s3-host.ts'
import { skipUnless } from '../support/skip.ts'

const obstacle = hostObstacle() ?? motoObstacle()
const lanTest = skipUnless(obstacle === undefined, obstacle ?? '')
const noGolden = fleetObstacle() ?? motoObstacle()
const goldenTest = skipUnless(noGolden === undefined, noGolden ?? '')
const v1 = join(goldenEnvironment, 'v1', 'robot.yaml')
/** What crosses the WAN besides, in frames: questions, and what was under way when it was given up. */
const SLACK = 1.1

class Fleet implements AsyncDisposable {
  readonly #lan = new Lan()
  #s3: S3Host | undefined

  get s3(): S3Host {
    if (this.#s3 === undefined) throw new Error('the server does not run yet')
    return this.#s3
  }

  /** @param holder whose library the server is to hold */
  static async with(holder: (lan: Lan) => FleetHost): Promise<Fleet> {
    const fleet = new Fleet()
    fleet.#s3 = await startS3(fleet.#lan, holder(fleet.#lan))
    return fleet
  }

  machine(section: object = { substituters: ['peers', this.s3.entry] }): FleetHost {
    const host = FleetHost.on(this.#lan)
    host.settings(section)
    return host
  }

  /** Daemons of one fleet that lack everything, each connected with all others. */
  async daemons(count: number): Promise<[FleetHost, ...FleetHost[]]> {
    const first = this.machine()
    const others = Array.from({ length: count - 1 }, () => this.machine())
    const invited = await first.lead()
    for (const host of others) {
      await host.join(invited)
      await host.startDaemon()
    }
    const all = [first, ...others]
    for (const host of all) {
      await host.connectedWith(...all.filter((other) => other !== host).map((other) => other.host.address))
    }
    return [first, ...others]
  }

  /** Bytes that leave the server while `work` goes on. */
  async paidFor<Value>(work: () => Promise<Value>): Promise<{ value: Value; bytes: number }> {
    const before = this.s3.sentBytes()
    const value = await work()
    return { value, bytes: this.s3.sentBytes() - before }
  }

  /** What a machine pays that nobody shares with. */
  async paidAlone(robot: string): Promise<number> {
    const { value, bytes } = await this.paidFor(() => this.machine().report('fetch', robot))
    expect(value).toMatchObject({ exitCode: 0 })
    return bytes
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lan[Symbol.asyncDispose]()
  }
}

/** Blobs of a catalog that the library of `host` lacks, or holds wrong; -1 where it lacks the catalog. */
async function faults(host: FleetHost, name = environmentVersion(1).name): Promise<number> {
  const library = new Library(rootsIn(host.host.home))
  const catalog = library.catalog(name)
  if (catalog === undefined) return -1
  const missing = await library.missing(catalog.catalog, never)
  return missing.length
}

/** The lease that a daemon tells of: who holds it, null where it does itself; undefined where there is none. */
async function holderToldBy(host: FleetHost): Promise<string | null | undefined> {
  const { daemon } = await host.report('status')
  return daemon.leases[0]?.holder
}

describe('a substituter', () => {
  lanTest('is paid once by daemons that start together, and their libraries are right', async () => {
    await using fleet = await Fleet.with((lan) => FleetHost.withSmallLibrary(lan))
    const alone = await fleet.paidAlone(smallRobot(1))
    const hosts = await fleet.daemons(4)
    const { value, bytes } = await fleet.paidFor(() => Promise.all(hosts.map((host) => host.restoreSmall(1))))
    expect(value.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0])
    expect(hosts.map((host) => host.differencesFromSmall(1))).toEqual([[], [], [], []])
    expect(bytes / alone).toBeLessThan(SLACK)
    const payers = value.filter(({ fetched }) => fleet.s3.entry.url in fetched.bySource)
    expect(payers).toHaveLength(1)
  })

  lanTest('is not asked by a command beside a daemon that brings it', async () => {
    await using fleet = await Fleet.with((lan) => FleetHost.withSmallLibrary(lan))
    const alone = await fleet.paidAlone(smallRobot(1))
    const [first] = await fleet.daemons(2)
    const command = fleet.machine()
    await command.join({ invite: (await first.report('fleet', 'show', '--invite')).fleets[0].invite })
    fleet.s3.shape(4)
    const { value, bytes } = await fleet.paidFor(() =>
      Promise.all([first.report('fetch', smallRobot(1)), command.report('fetch', smallRobot(1))]),
    )
    expect(value.map(({ exitCode }) => exitCode)).toEqual([0, 0])
    expect(await faults(command, smallCold('gzip', 1).name)).toBe(0)
    expect(bytes / alone).toBeLessThan(SLACK)
  })

  // Goal: a death costs what the dead one had not passed on, and nobody is left waiting.
  goldenTest('is asked by another daemon for the rest when the one that pays is killed half-way', async () => {
    await using fleet = await Fleet.with((lan) => FleetHost.withLibrary(lan))
    const alone = await fleet.paidAlone(v1)
    const [first, second, third] = await fleet.daemons(3)
    if (second === undefined || third === undefined) throw new Error('three were asked for')
    const hosts = [first, second, third]
    fleet.s3.shape(50)
    const before = fleet.s3.sentBytes()
    const fetches = hosts.map((host) => host.report('fetch', v1))
    const half = async () => {
      while (fleet.s3.sentBytes() - before < alone / 2) await Bun.sleep(100)
    }
    await half()
    const told = await Promise.all(hosts.map(holderToldBy))
    const payer = told.indexOf(null)
    expect(told.filter((holder) => typeof holder === 'string')).toHaveLength(2)
    const killedAt = fleet.s3.sentBytes() - before
    await hosts[payer]?.killDaemon()
    // The command whose daemon has died goes on without it.
    const reports = await Promise.all(fetches)
    expect(reports.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0])
    expect(await Promise.all(hosts.map((host) => faults(host)))).toEqual([0, 0, 0])
    const bytes = fleet.s3.sentBytes() - before
    console.log(`paid ${(bytes / alone).toFixed(2)} environments, ${(killedAt / alone).toFixed(2)} when it was killed`)
    expect(bytes).toBeLessThan(alone * SLACK + killedAt)
  })
})
