/**
 * Hosts for tests: network namespaces on one bridge, each with its own `/tmp/holo-golden` and home.
 *
 * A process of a host runs in the host's network namespace and in a mount namespace in which the host's folder stands
 * at `/tmp/holo-golden`, the base that the golden catalogs were recorded for. Needs root and iproute2.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where the golden catalogs restore to; see test/golden. */
export const GOLDEN_BASE = '/tmp/holo-golden'

/** Why `Lan` cannot work here, or undefined where it can. */
export function lanObstacle(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces need Linux'
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  for (const tool of ['ip', 'nft', 'unshare', 'mount'])
    if (Bun.which(tool) === null) return `the command ${tool} is not installed`
  const probe = Bun.spawnSync(['unshare', '-n', '-m', 'true'])
  return probe.exitCode === 0 ? undefined : `unshare fails: ${probe.stderr.toString().trim()}`
}

export interface Finished {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

function must(command: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([...command])
  if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${stderr.toString().trim()}`)
}

/**
 * A token bucket that plain TCP fills to 95 % of the rate and more: it lets 10 ms through at once (a burst of 64 KiB at
 * least, since the kernel's timer ticks every 4 ms and packets are coalesced), and queues for 50 ms, or what 100 Mbit/s
 * would queue then: so a slower network is one of 100 Mbit/s in slow motion, and loses no more.
 */
function bucket(megabits: number): string[] {
  const burstBytes = Math.max(64 * 1024, Math.ceil((megabits * 1e6 * 0.01) / 8))
  const queueMs = Math.ceil(50 * Math.max(1, 100 / megabits))
  return ['rate', `${Math.round(megabits * 1e6)}bit`, 'burst', String(burstBytes), 'latency', `${queueMs}ms`]
}

/** What the token buckets of a namespace have let through, in bytes, by device. */
function passedBytes(namespace: string): ReadonlyMap<string, number> {
  const { exitCode, stdout, stderr } = Bun.spawnSync(['tc', '-n', namespace, '-s', '-j', 'qdisc', 'show'])
  if (exitCode !== 0) throw new Error(`tc qdisc show: ${stderr.toString().trim()}`)
  const qdiscs = JSON.parse(stdout.toString()) as readonly { kind: string; dev: string; bytes: number }[]
  return new Map(qdiscs.filter(({ kind }) => kind === 'tbf').map(({ dev, bytes }) => [dev, bytes]))
}

let lans = 0

/** Bytes on a host's link since it was made. */
export interface Traffic {
  readonly sentBytes: number
  readonly receivedBytes: number
}

export interface HostOptions {
  /** `only`: the host has no IPv4 address but loopback's. */
  readonly ipv6?: 'only' | 'none'
}

export class Lan implements AsyncDisposable {
  readonly #namespace: string
  readonly #net: number
  readonly #folder: string
  readonly #hosts: Host[] = []
  /** Hosts with a limit. */
  readonly #shaped = new Set<Host>()

  /**
   * @param net the LAN's addresses are 10.`net`.0.0/24 and fd00:`net`::/64
   * @param parent an existing directory, in which the hosts get their folders
   */
  constructor(net = 88, parent = tmpdir()) {
    this.#net = net
    this.#namespace = `hp${process.pid}l${lans++}`
    this.#folder = mkdtempSync(join(parent, 'holo-lan-'))
    must(['ip', 'netns', 'add', this.#namespace])
    must(['ip', '-n', this.#namespace, 'link', 'add', 'lan', 'type', 'bridge'])
    must(['ip', '-n', this.#namespace, 'link', 'set', 'lan', 'up'])
  }

  /** A new host with the next address of this LAN. */
  host({ ipv6 = 'none' }: HostOptions = {}): Host {
    const number = this.#hosts.length + 1
    const namespace = `${this.#namespace}h${number}`
    must(['ip', 'netns', 'add', namespace])
    const address = ipv6 === 'only' ? `fd00:${this.#net}::${number}` : `10.${this.#net}.0.${number}`
    const host = new Host(namespace, address, join(this.#folder, `host${number}`))
    host.ip('link set lo up')
    this.#hosts.push(host)
    this.#plug(host, 'eth0', `port${number}`)
    return host
  }

  /** Give a host of another LAN a second interface, `eth1`, in this one. @returns its address there */
  attach(host: Host, number = 200): string {
    const address = `10.${this.#net}.0.${number}`
    this.#plug(host, 'eth1', `guest${number}`, address)
    return address
  }

  /**
   * Limit the link of a host, each direction for itself, by token buckets.
   *
   * @param megabits a second, counted as Ethernet frames; undefined takes the limit away
   */
  shape(host: Host, megabits: number | undefined): void {
    for (const [namespace, device] of [
      [host.namespace, 'eth0'] as const,
      [this.#namespace, this.#portOf(host)] as const,
    ]) {
      const tc = ['tc', '-n', namespace, 'qdisc']
      if (megabits === undefined) Bun.spawnSync([...tc, 'del', 'dev', device, 'root'])
      else must([...tc, 'replace', 'dev', device, 'root', 'tbf', ...bucket(megabits)])
    }
    if (megabits === undefined) this.#shaped.delete(host)
    else this.#shaped.add(host)
  }

  /**
   * Bytes that each host has sent into this LAN and received from it so far, as Ethernet frames: of a host with a limit
   * since that was set, and as the limit counts them; of others as this kernel hands them over, with one head for many.
   */
  traffic(): ReadonlyMap<Host, Traffic> {
    const traffic = new Map(this.#linkTraffic())
    if (this.#shaped.size === 0) return traffic
    const ports = passedBytes(this.#namespace)
    for (const host of this.#shaped) {
      const sentBytes = passedBytes(host.namespace).get('eth0') ?? 0
      traffic.set(host, { sentBytes, receivedBytes: ports.get(this.#portOf(host)) ?? 0 })
    }
    return traffic
  }

  #linkTraffic(): ReadonlyMap<Host, Traffic> {
    const { exitCode, stdout, stderr } = Bun.spawnSync(['ip', '-n', this.#namespace, '-s', '-j', 'link', 'show'])
    if (exitCode !== 0) throw new Error(`ip link show: ${stderr.toString().trim()}`)
    const links = JSON.parse(stdout.toString()) as {
      readonly ifname: string
      readonly stats64: { readonly rx: { readonly bytes: number }; readonly tx: { readonly bytes: number } }
    }[]
    return new Map(
      this.#hosts.map((host) => {
        const counted = links.find(({ ifname }) => ifname === this.#portOf(host))?.stats64
        // What a host sends is what its port of the bridge receives.
        return [host, { sentBytes: counted?.rx.bytes ?? 0, receivedBytes: counted?.tx.bytes ?? 0 }]
      }),
    )
  }

  #portOf(host: Host): string {
    return `port${this.#hosts.indexOf(host) + 1}`
  }

  #plug(host: Host, name: string, port: string, address = host.address): void {
    must(`ip -n ${this.#namespace} link add ${port} type veth peer name ${name} netns ${host.namespace}`.split(' '))
    must(`ip -n ${this.#namespace} link set ${port} master lan up`.split(' '))
    // nodad: an IPv6 address is usable at once.
    host.ip(
      `address add ${address}${address.includes(':') ? '/64' : '/24'} dev ${name}${address.includes(':') ? ' nodad' : ''}`,
    )
    host.ip(`link set ${name} up`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of this.#hosts) await host[Symbol.asyncDispose]()
    Bun.spawnSync(['ip', 'netns', 'delete', this.#namespace])
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

export class Host implements AsyncDisposable {
  /** Stands at `/tmp/holo-golden` for the host's processes. */
  readonly golden: string
  /** The host's ROBOCORP_HOME. */
  readonly home: string
  readonly #processes = new Set<Bun.Subprocess>()

  constructor(
    readonly namespace: string,
    readonly address: string,
    readonly folder: string,
  ) {
    this.golden = join(folder, 'golden')
    this.home = join(folder, 'robocorp')
    mkdirSync(this.golden, { recursive: true })
    mkdirSync(this.home, { recursive: true })
  }

  /** `ip` with the words of `command`, for this host. */
  ip(command: string): void {
    must(['ip', '-n', this.namespace, ...command.split(' ')])
  }

  /** Load packet filter rules on this host; those of before go. */
  nft(rules: string): void {
    const loaded = Bun.spawnSync(['ip', 'netns', 'exec', this.namespace, 'nft', '-f', '-'], {
      stdin: Buffer.from(`flush ruleset\n${rules}\n`),
    })
    if (loaded.exitCode !== 0) throw new Error(`nft: ${loaded.stderr.toString().trim()}`)
  }

  /** Start a command on this host; it is killed with the LAN. */
  spawn(
    command: readonly string[],
    options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
  ): Bun.Subprocess<'ignore', 'pipe', 'pipe'> {
    // Whoever else works on this machine may have tidied it away.
    mkdirSync(GOLDEN_BASE, { recursive: true })
    const inside = 'mount --bind "$0" "$1" && cd "$2" && shift 2 && exec "$@"'
    const child = Bun.spawn(
      [
        ...['ip', 'netns', 'exec', this.namespace, 'unshare', '-m', '--propagation', 'private'],
        ...['sh', '-c', inside, this.golden, GOLDEN_BASE, options.cwd ?? this.folder, ...command],
      ],
      {
        env: {
          PATH: process.env.PATH ?? '',
          HOME: '/home/robot',
          ROBOCORP_HOME: this.home,
          NO_COLOR: '1',
          ...options.env,
        },
        stdin: 'ignore',
        stdout: 'pipe',
        stderr: 'pipe',
      },
    )
    this.#processes.add(child)
    void child.exited.then(() => this.#processes.delete(child))
    return child
  }

  /** Run a command on this host to its end. */
  async run(
    command: readonly string[],
    options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
  ): Promise<Finished> {
    const child = this.spawn(command, options)
    const [stdout, stderr, exitCode] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ])
    return { exitCode, stdout, stderr }
  }

  /** The file that a process of this host sees as `path`. */
  outside(path: string): string {
    return path.startsWith(GOLDEN_BASE) ? this.golden + path.slice(GOLDEN_BASE.length) : path
  }

  has(path: string): boolean {
    return existsSync(this.outside(path))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#processes) child.kill('SIGKILL')
    await Promise.all([...this.#processes].map((child) => child.exited))
    Bun.spawnSync(['ip', 'netns', 'delete', this.namespace])
  }
}
