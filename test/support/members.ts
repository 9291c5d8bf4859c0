/** Members of a fleet in one process: a library in memory, a swarm each, and links between them. */
import { type Clock, systemClock } from '../../src/base/clock.ts'
import type { FrameLink } from '../../src/base/link.ts'
import { type Sha256Digest, sha256Of } from '../../src/blob/digest.ts'
import type { StoredBlob } from '../../src/blob/local.ts'
import type { BlobRef } from '../../src/blob/source.ts'
import { parseCatalogName } from '../../src/catalog/names.ts'
import type { CatalogName } from '../../src/catalog/tree.ts'
import type { Discovery } from '../../src/discovery/discovery.ts'
import { memoryLink } from '../../src/discovery/memory.ts'
import { decodeMessage, encodeMessage } from '../../src/peer/codec.ts'
import { FleetSwarm, type SwarmOptions } from '../../src/peer/fleet-swarm.ts'
import type { HeldCatalog, Message, Role } from '../../src/peer/messages.ts'
import type { ServedLibrary } from '../../src/peer/serve.ts'
import { type KeyPair, keyPairFrom, randomSecret } from '../../src/trust/keys.ts'
import { proveMembership } from '../../src/trust/membership.ts'

export const CATALOG = parseCatalogName('0123456789abcdefv12.linux_amd64') as CatalogName

/** A catalog of no files, gzip'd, with the SHA-256 of its JSON. `rcc` tells two of one name apart. */
export function emptyCatalog(rcc = 'v18.18.1', name: CatalogName = CATALOG): { held: HeldCatalog; stored: Uint8Array } {
  const json = new TextEncoder().encode(
    JSON.stringify({
      rcc,
      identity: 'hdc4d952_493f813dad24d3t',
      path: '/home/robot/.robocorp/holotree/hdc4d952_493f813dad24d3t',
      controller: '',
      space: '',
      platform: name.slice(20),
      blueprint: name.slice(0, 16),
      lifted: true,
      tree: { name: '', mode: 2147484141, subdirs: {}, files: {} },
    }),
  )
  const stored = Bun.gzipSync(json)
  return { held: { name, sha256: sha256Of(json), storedBytes: stored.byteLength }, stored }
}

/** A `ServedLibrary` in memory; blobs may be stored gzip'd, may lie, and may never come. */
export class MemoryLibrary implements ServedLibrary {
  readonly blobs = new Map<Sha256Digest, { encoding: 'identity' | 'gzip'; bytes: Uint8Array }>()
  readonly held = new Map<CatalogName, { held: HeldCatalog; stored: Uint8Array }>()
  /** Lines of signatures, by the SHA-256 of the catalog. */
  readonly signed = new Map<Sha256Digest, Uint8Array>()
  readonly #listeners = new Set<() => void>()

  /** @returns what to ask for */
  add(content: Uint8Array, encoding: 'identity' | 'gzip' = 'identity'): BlobRef & { digest: Sha256Digest } {
    const digest = sha256Of(content)
    this.blobs.set(digest, { encoding, bytes: encoding === 'gzip' ? Bun.gzipSync(Uint8Array.from(content)) : content })
    return { digest, sizeBytes: content.byteLength }
  }

  hold(catalog: { held: HeldCatalog; stored: Uint8Array }): void {
    this.held.set(catalog.held.name, catalog)
    for (const listener of this.#listeners) listener()
  }

  release(name: CatalogName): void {
    this.held.delete(name)
    for (const listener of this.#listeners) listener()
  }

  catalogs(): HeldCatalog[] {
    return [...this.held.values()].map(({ held }) => held)
  }

  async storedCatalog(name: CatalogName): Promise<Uint8Array | undefined> {
    return this.held.get(name)?.stored
  }

  signatures(catalog: Sha256Digest): Uint8Array | undefined {
    return this.signed.get(catalog)
  }

  holds(digest: Sha256Digest): boolean {
    return this.blobs.has(digest)
  }

  stored(digest: Sha256Digest): StoredBlob | undefined {
    const blob = this.blobs.get(digest)
    if (blob === undefined) return undefined
    const { bytes, encoding } = blob
    return {
      encoding,
      sizeBytes: bytes.byteLength,
      whole: () => bytes,
      bytes: async function* (from = 0) {
        for (let at = from; at < bytes.byteLength; at += 300_000) yield bytes.subarray(at, at + 300_000)
      },
      [Symbol.dispose]: () => {},
    }
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

export interface Member {
  readonly keys: KeyPair
  readonly library: MemoryLibrary
  readonly swarm: FleetSwarm
}

export function member(
  secret: Uint8Array,
  role: Role = 'daemon',
  clock: Clock = systemClock,
  special: Partial<SwarmOptions> = {},
): Member {
  const keys = special.lanes?.keyPair ?? keyPairFrom(randomSecret())
  const library = new MemoryLibrary()
  const swarm = new FleetSwarm({
    secrets: () => [secret],
    role,
    agent: 'holo-peer/test',
    delegation: undefined,
    library,
    clock,
    ...special,
  })
  return { keys, library, swarm }
}

/** Link two members. @param host address of both, as the other one sees it */
export function connect(left: Member, right: Member, host = 'memory'): void {
  const [first, second] = memoryLink(left.keys, right.keys, [`${host}:1`, `${host}:2`])
  left.swarm.accept(first)
  right.swarm.accept(second)
}

/** A remote that a test plays by hand: it knows the secret if it is given one, and says what it is told to. */
export class HandPlayed {
  readonly keys = keyPairFrom(randomSecret())
  readonly link: FrameLink
  readonly heard: Message[] = []
  #waiting: (() => void)[] = []

  /** @param versionHighest that it says it speaks */
  constructor(other: Member, secret: Uint8Array | undefined, versionHighest = 1) {
    const [own, theirs] = memoryLink(this.keys, other.keys, ['127.0.0.1:1', '127.0.0.1:2'])
    this.link = own
    own.onFrame((frame) => {
      this.heard.push(decodeMessage(new Uint8Array(frame)))
      for (const wake of this.#waiting.splice(0)) wake()
    })
    other.swarm.accept(theirs)
    if (secret === undefined) return
    const { handshakeHash } = own
    const proof = proveMembership(secret, { handshakeHash, publicKey: this.keys.publicKey, initiator: true })
    this.say({
      type: 'hello',
      versionLowest: 1,
      versionHighest,
      proofs: [proof],
      role: 'daemon',
      agent: 'by hand',
      delegation: undefined,
    })
  }

  say(message: Message): void {
    this.link.send(encodeMessage(message))
  }

  /** The first message of `type` that it heard, or hears. */
  async hear<Type extends Message['type']>(type: Type): Promise<Extract<Message, { type: Type }>> {
    for (;;) {
      const found = this.heard.find((message) => message.type === type)
      if (found !== undefined) return found as Extract<Message, { type: Type }>
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }
}

/** A member whose links come from `discovery`. */
export function connectedSwarm(secret: Uint8Array, role: Role, discovery: Discovery): Member {
  const made = member(secret, role)
  discovery.onLink((link) => made.swarm.accept(link))
  return made
}

/** Resolve once `condition` holds after a change of the swarm. */
export async function until(swarm: FleetSwarm, condition: () => boolean): Promise<void> {
  if (condition()) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const unsubscribe = swarm.subscribe(() => {
    if (condition()) resolve()
  })
  await promise
  unsubscribe()
}
