/**
 * A host without a network: the compiled binary on a library and a holotree of its own, whose environments a test makes
 * up. Everything lies below one directory, so a test chooses the file system, and a catalog names the place it is in.
 */
import * as fs from 'node:fs'
import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { composeBlueprint } from '../../src/catalog/blueprint.ts'
import { encodeCatalog } from '../../src/catalog/encode-catalog.ts'
import { catalogPath, statePaths } from '../../src/catalog/layout.ts'
import { catalogName, controllerIdentity, platformOf, platformTag, spaceName } from '../../src/catalog/names.ts'
import type { Catalog } from '../../src/catalog/tree.ts'
import type { Report } from './fleet-hosts.ts'
import { differences, type ListedEntry, listTree, rootsIn } from './golden.ts'
import { DirectoryBlobs, type MadeTree, madeCatalog, madeListing } from './made-catalog.ts'
import { freePort } from './nginx.ts'

const built = resolve(import.meta.dir, '../../dist/holo-peer')
const tag = platformTag(process.platform, process.arch)

/** Why the binary cannot be run here, or undefined where it can. */
export function binaryObstacle(): string | undefined {
  return fs.existsSync(built) ? undefined : 'dist/holo-peer is not built'
}

/** An environment of a host's library. */
export interface LocalEnvironment {
  /** What `restore` is given: a conda.yaml. */
  readonly robotFile: string
  readonly catalog: Catalog
  /** Where the catalog lies in the library. */
  readonly catalogFile: string
  readonly listing: readonly ListedEntry[]
}

export interface LocalHostPlaces {
  /** ROBOCORP_HOME; default `<root>/robocorp`. */
  readonly home?: string
  /** Directory of the spaces; default `<root>/holotree`. */
  readonly base?: string
}

/** A daemon that has said that it serves. */
export interface LocalDaemon extends AsyncDisposable {
  /** URL of its door. */
  readonly door: URL
}

export class LocalHost {
  readonly home: string
  readonly base: string
  readonly blobs: DirectoryBlobs
  /** Name of the space that every restore goes to. */
  readonly spaceName = spaceName({
    userIdentity: 'dc4d952',
    controller: controllerIdentity('user'),
    space: 'user',
  })

  constructor(
    readonly root: string,
    form: 'identity' | 'gzip' = 'identity',
    { home = join(root, 'robocorp'), base = join(root, 'holotree') }: LocalHostPlaces = {},
  ) {
    this.home = home
    this.base = base
    this.blobs = new DirectoryBlobs(join(home, 'hololib', 'library'), form)
    fs.mkdirSync(base, { recursive: true })
  }

  get roots() {
    return { ...rootsIn(this.home), platform: platformOf(process.platform, process.arch) }
  }

  get space(): string {
    return join(this.base, this.spaceName)
  }

  get notesFile(): string {
    return statePaths(this.roots).verifiedNotes
  }

  /** Put an environment into the library. @param alter what the catalog says beside the truth */
  add(name: string, tree: MadeTree, alter: (catalog: Catalog) => Catalog = (catalog) => catalog): LocalEnvironment {
    const folder = join(this.root, 'robots', name)
    const robotFile = join(folder, 'conda.yaml')
    fs.mkdirSync(folder, { recursive: true })
    fs.writeFileSync(robotFile, `channels: [conda-forge]\ndependencies: [python=3.11.7, ${name}=1.0]\n`)
    const { hash } = composeBlueprint([{ name: robotFile, bytes: fs.readFileSync(robotFile) }], {
      localChannel: undefined,
      devDependencies: false,
    })
    const catalog = alter({ ...madeCatalog(tree, this.base, this.blobs), platform: tag, blueprint: hash })
    const catalogFile = catalogPath(this.roots, catalogName(hash, tag))
    fs.mkdirSync(join(catalogFile, '..'), { recursive: true })
    fs.writeFileSync(catalogFile, gzipSync(encodeCatalog(catalog)))
    return { robotFile, catalog, catalogFile, listing: madeListing(tree, this.spaceName) }
  }

  command(environment: LocalEnvironment, ...args: string[]): string[] {
    return [built, 'restore', environment.robotFile, '--offline', ...args]
  }

  spawn(command: readonly string[], env: Readonly<Record<string, string>> = {}) {
    return Bun.spawn([...command], {
      env: {
        PATH: process.env.PATH ?? '',
        HOME: '/home/robot',
        ROBOCORP_HOME: this.home,
        NO_COLOR: '1',
        ...env,
      },
      cwd: this.root,
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    })
  }

  /** Start a daemon that nobody hears, its door at a port of its own; disposal ends it. */
  async startDaemon(): Promise<LocalDaemon> {
    const port = freePort()
    const variables = { HOLO_PEER_MULTICAST: 'false', HOLO_PEER_DOOR_PORT: `${port}` }
    const daemon = this.spawn([built, 'daemon', '--json', '--quiet'], variables)
    const ready = await daemon.stdout.getReader().read()
    if (ready.done) throw new Error(`the daemon ended: ${await new Response(daemon.stderr).text()}`)
    return {
      door: new URL(`http://127.0.0.1:${port}/`),
      [Symbol.asyncDispose]: async () => {
        daemon.kill('SIGTERM')
        await daemon.exited
      },
    }
  }

  async run(command: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const child = this.spawn(command, env)
    const [stdout, stderr, exitCode] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ])
    return { exitCode, stdout, stderr }
  }

  /** Restore with `--json`. @returns its document, with `exitCode` beside it */
  async restore(environment: LocalEnvironment, ...args: string[]): Promise<Report> {
    return this.reportOf(this.command(environment, ...args, '--json'))
  }

  /** Run a command that prints JSON, such as one of ours behind `setpriv`. */
  async reportOf(command: readonly string[]): Promise<Report> {
    const { exitCode, stdout, stderr } = await this.run(command)
    try {
      return { ...JSON.parse(stdout), exitCode }
    } catch {
      throw new Error(`no JSON from ${command.join(' ')}: ${stdout} ${stderr}`)
    }
  }

  /** How the space differs from what `environment` should be; empty where it does not. */
  wrong({ listing }: LocalEnvironment): string[] {
    return differences(this.space, listing, { directoryTimes: 'ignored' })
  }

  /** Temporaries of ours, and the mark of a restore that was cut off, anywhere in the library and around the space. */
  leftovers(): string[] {
    return [this.base, this.home].flatMap((root) =>
      listTree(root)
        .map(({ path }) => join(root, path))
        .filter((path) => path.includes('/.holo-peer-') || path.endsWith('.restoring')),
    )
  }
}
