/**
 * Who may say what and when: the state of one conversation, from hello to bye.
 *
 * Pure: frames and the time go in, actions come out; `connection.ts` carries them out. Until the remote has proved
 * that it knows the secret of a fleet of ours, nothing but its hello is accepted and nothing but ours is sent. Knows
 * what the remote holds and what it still has to be answered; not what is done about it.
 */
import { HoloError } from '../base/errors.ts'
import { HELLO_DEADLINE_MS, PEER_CATALOGS_MAX } from '../base/limits.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { type Delegation, verifyDelegation } from '../trust/keys.ts'
import { proveMembership, verifyMembership } from '../trust/membership.ts'
import { decodeMessage } from './codec.ts'
import { VERSION_1_TYPES, VERSION_3_TYPES, VERSION_4_TYPES } from './message-types.ts'
import {
  type Bye,
  type ByeCode,
  type Have,
  type HeldCatalog,
  type Hello,
  type Message,
  type Role,
  VERSION_HIGHEST,
  VERSION_LOWEST,
} from './messages.ts'
import { OpenQuestions } from './open-questions.ts'
import { named, violation } from './wire.ts'

/** What does not change while a session lasts. */
export interface SessionFacts {
  /** Of every fleet of this machine, 32 bytes each. */
  readonly secrets: readonly Uint8Array[]
  readonly localKey: Uint8Array
  readonly remoteKey: Uint8Array
  readonly handshakeHash: Uint8Array
  readonly initiator: boolean
  readonly role: Role
  readonly agent: string
  readonly delegation: Delegation | undefined
  /** `peer k5w3-8xqh-9m2p (10.0.0.7:49738)`, for errors. */
  readonly remoteName: string
}

/** The remote, proved to be a member. */
export interface Remote {
  /** Key of the machine: the link's own, or the one that vouches for it. */
  readonly machineKey: Uint8Array
  readonly role: Role
  readonly agent: string
  /** The version that both sides speak from now on. */
  readonly version: number
  /** Which of our secrets it has proved: the first in our order. */
  readonly secret: Uint8Array
}

/** What a proved member may say. */
export type MemberMessage = Exclude<Message, Hello | Bye>

export type SessionAction =
  | { readonly do: 'send'; readonly message: Message }
  | { readonly do: 'opened'; readonly remote: Remote }
  | { readonly do: 'deliver'; readonly message: MemberMessage }
  /** The link is to be closed, after what was sent before. `error` is undefined where the remote left in order. */
  | { readonly do: 'end'; readonly error: HoloError | undefined }

export class Session {
  #state: 'greeting' | 'open' | 'ended' = 'greeting'
  #deadlineMs = Number.POSITIVE_INFINITY
  #version = 0
  readonly #questions = new OpenQuestions()
  readonly #catalogs = new Map<CatalogName, HeldCatalog>()

  constructor(readonly facts: SessionFacts) {}

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** Whether we owe the remote an answer. */
  get isAsked(): boolean {
    return this.#questions.any
  }

  /** Complete catalogs of the remote, by name. */
  get catalogs(): ReadonlyMap<CatalogName, HeldCatalog> {
    return this.#catalogs
  }

  /** When `tick` has something to say, undefined where never. */
  get deadlineMs(): number | undefined {
    return this.#state === 'greeting' ? this.#deadlineMs : undefined
  }

  /** Say hello; to be called once, first. */
  start(nowMs: number): SessionAction[] {
    const { secrets, handshakeHash, initiator, role, agent, delegation } = this.facts
    this.#deadlineMs = nowMs + HELLO_DEADLINE_MS
    const own = { handshakeHash, publicKey: this.facts.localKey, initiator }
    const hello: Hello = {
      type: 'hello',
      versionLowest: VERSION_LOWEST,
      versionHighest: VERSION_HIGHEST,
      proofs: secrets.map((secret) => proveMembership(secret, own)),
      role,
      agent,
      delegation,
    }
    return [{ do: 'send', message: hello }]
  }

  /** One frame of the remote. Never throws for what is in it. */
  receive(frame: Uint8Array): SessionAction[] {
    if (this.#state === 'ended') return []
    try {
      const message = decodeMessage(frame)
      if (message.type === 'bye') return this.#onBye(message)
      if (this.#state === 'greeting') {
        if (message.type !== 'hello') throw violation(`"${message.type}" before its hello`)
        return this.#onHello(message)
      }
      if (message.type === 'hello') throw violation('a second hello')
      this.#admit(message)
      return [{ do: 'deliver', message }]
    } catch (error) {
      if (!(error instanceof HoloError)) throw error
      return this.fail(error)
    }
  }

  tick(nowMs: number): SessionAction[] {
    if (this.#state !== 'greeting' || nowMs < this.#deadlineMs) return []
    this.#state = 'ended'
    const error = this.#error('did not say hello in time', 'peer-silent', 'it is overloaded, or no holo-peer at all')
    return [{ do: 'end', error }]
  }

  /** We have answered `count` things of `request`. */
  answered(request: number, count: number): void {
    this.#questions.answered(request, count)
  }

  /** End because of something that the remote did. */
  fail(error: HoloError): SessionAction[] {
    return this.leave('protocol-violation', error.message, named(error, this.facts.remoteName))
  }

  /** End from our side. @param error why the link ends, undefined where nothing is wrong */
  leave(code: ByeCode, text: string, error: HoloError | undefined): SessionAction[] {
    if (this.#state === 'ended') return []
    this.#state = 'ended'
    return [
      { do: 'send', message: { type: 'bye', code, text } },
      { do: 'end', error },
    ]
  }

  #onHello(hello: Hello): SessionAction[] {
    const { secrets, remoteKey, handshakeHash, initiator } = this.facts
    if (hello.versionHighest < VERSION_LOWEST || hello.versionLowest > VERSION_HIGHEST) {
      const [older, newer] =
        hello.versionHighest < VERSION_LOWEST ? ['the peer', 'this machine'] : ['this machine', 'the peer']
      const text = `speaks versions ${hello.versionLowest} to ${hello.versionHighest} of the protocol, we ${VERSION_LOWEST} to ${VERSION_HIGHEST}`
      const error = this.#error(text, 'version-mismatch', `update holo-peer on ${older}: ${newer} is ahead of it`)
      return this.leave('version-mismatch', `we speak versions ${VERSION_LOWEST} to ${VERSION_HIGHEST}`, error)
    }
    const theirs = { handshakeHash, publicKey: remoteKey, initiator: !initiator }
    const proved = secrets.find((secret) => hello.proofs.some((proof) => verifyMembership(secret, proof, theirs)))
    if (proved === undefined) {
      const error = this.#error('is in no fleet of ours', 'not-a-member', 'give it an invite if it should be')
      return this.leave('not-a-member', 'you proved the secret of no fleet of ours', error)
    }
    if (hello.delegation !== undefined && !verifyDelegation(hello.delegation, remoteKey)) {
      throw violation('a machine key that does not vouch for it')
    }
    this.#state = 'open'
    this.#version = Math.min(VERSION_HIGHEST, hello.versionHighest)
    const remote: Remote = {
      machineKey: Uint8Array.from(hello.delegation?.machineKey ?? remoteKey),
      role: hello.role,
      agent: hello.agent,
      version: this.#version,
      secret: proved,
    }
    return [{ do: 'opened', remote }]
  }

  #onBye({ code, text }: Bye): SessionAction[] {
    const wasOpen = this.#state === 'open'
    this.#state = 'ended'
    const quiet = code === 'leaving' && wasOpen
    const hint = code === 'not-a-member' ? 'compare `holo-peer fleet show` on both machines' : 'look at its log'
    return [{ do: 'end', error: quiet ? undefined : this.#error(`parted: ${text}`, `peer-${code}`, hint) }]
  }

  /** Hold a member's message against the bounds that span messages. @throws {HoloError} `protocol-violation` */
  #admit(message: MemberMessage): void {
    if (this.#version < versionOf(message.type)) {
      throw violation(`"${message.type}", which version ${this.#version} does not know`)
    }
    if (message.type === 'have') this.#note(message)
    else if (message.type === 'want') this.#questions.admit(message.request, message.digests.length)
    else if (SINGLE_QUESTIONS.has(message.type) && 'request' in message) this.#questions.admit(message.request, 1)
  }

  #note({ added, removed }: Have): void {
    for (const name of removed) this.#catalogs.delete(name)
    for (const catalog of added) this.#catalogs.set(catalog.name, catalog)
    if (this.#catalogs.size > PEER_CATALOGS_MAX) throw violation(`more than ${PEER_CATALOGS_MAX} catalogs`)
  }

  #error(what: string, code: string, hint: string): HoloError {
    return named(new HoloError(`The peer ${what}`, { code, blame: 'source', hint }), this.facts.remoteName)
  }
}

/** Questions that count one each. */
const SINGLE_QUESTIONS: ReadonlySet<Message['type']> = new Set(['ask', 'catalog', 'piece-table', 'signatures'])

const SINCE = new Map<Message['type'], number>(
  Object.entries({ 1: VERSION_1_TYPES, 3: VERSION_3_TYPES, 4: VERSION_4_TYPES }).flatMap(([version, types]) =>
    types.map((type) => [type, Number(version)]),
  ),
)

/** The first version in which members may say this. */
function versionOf(type: Message['type']): number {
  return SINCE.get(type) ?? 2
}
