/** Two sessions without a network: every way in which the beginning of a conversation can go wrong. */
import { describe, expect, test } from 'bun:test'
import type { Sha256Digest } from '../../src/blob/digest.ts'
import { decodeMessage, encodeMessage } from '../../src/peer/codec.ts'
import type { Hello, Message } from '../../src/peer/messages.ts'
import { Session, type SessionAction, type SessionFacts } from '../../src/peer/session.ts'
import { deriveSessionKey, keyPairFrom, randomSecret } from '../../src/trust/keys.ts'
import { CATALOG, emptyCatalog } from '../support/members.ts'

const secret = randomSecret()
const alice = keyPairFrom(randomSecret())
const bob = keyPairFrom(randomSecret())

/** Both ends of one connection. */
function pair(left: Partial<SessionFacts> = {}, right: Partial<SessionFacts> = {}) {
  const handshakeHash = randomSecret(64)
  const shared = { secrets: [secret], handshakeHash, role: 'daemon' as const, agent: 'holo-peer/test' }
  const facts = (own: Uint8Array, remote: Uint8Array, initiator: boolean, remoteName: string): SessionFacts => ({
    ...shared,
    localKey: own,
    remoteKey: remote,
    initiator,
    remoteName,
    delegation: undefined,
  })
  return {
    alice: new Session({ ...facts(alice.publicKey, bob.publicKey, true, 'peer bob'), ...left }),
    bob: new Session({ ...facts(bob.publicKey, alice.publicKey, false, 'peer alice'), ...right }),
  }
}

const sent = (actions: readonly SessionAction[]): Message[] =>
  actions.flatMap((action) => (action.do === 'send' ? [action.message] : []))
const frames = (actions: readonly SessionAction[]) => sent(actions).map(encodeMessage)
const helloOf = (session: Session): Hello => sent(session.start(0))[0] as Hello
const endOf = (actions: readonly SessionAction[]) => actions.find((action) => action.do === 'end')

/** What a session says to a hello, in words: `opened`, or the code of the error that ends it. */
function verdict(session: Session, hello: Message): string | undefined {
  const actions = session.receive(encodeMessage(hello))
  if (actions.some((action) => action.do === 'opened')) return 'opened'
  const end = endOf(actions)
  return end?.do === 'end' ? end.error?.code : undefined
}

/** Two sessions that have greeted each other. */
function opened() {
  const both = pair()
  const [hello, answer] = [helloOf(both.alice), helloOf(both.bob)]
  expect(verdict(both.bob, hello)).toBe('opened')
  expect(verdict(both.alice, answer)).toBe('opened')
  return both
}

describe('Session', () => {
  test('opens for a member, and knows who it is', () => {
    const both = pair({ role: 'client', agent: 'holo-peer/9' })
    const hello = helloOf(both.alice)
    helloOf(both.bob)
    expect(both.bob.receive(encodeMessage(hello))).toEqual([
      {
        do: 'opened',
        remote: {
          machineKey: Uint8Array.from(alice.publicKey),
          role: 'client',
          agent: 'holo-peer/9',
          version: 4,
          secret,
        },
      },
    ])
  })

  test('opens where one of several fleets is shared', () => {
    const both = pair({ secrets: [randomSecret(), secret] }, { secrets: [secret, randomSecret(), randomSecret()] })
    helloOf(both.bob)
    expect(verdict(both.bob, helloOf(both.alice))).toBe('opened')
  })

  test('takes the word of a machine for the key of its session, and of no other machine', () => {
    const machine = keyPairFrom(randomSecret())
    const session = deriveSessionKey(machine, randomSecret())
    const own = session.keyPair.publicKey
    const both = pair({ localKey: own, delegation: session.delegation }, { remoteKey: own })
    helloOf(both.bob)
    const [action] = both.bob.receive(encodeMessage(helloOf(both.alice)))
    expect(action).toMatchObject({ do: 'opened', remote: { machineKey: Uint8Array.from(machine.publicKey) } })

    const forged = pair(
      { localKey: own, delegation: { ...session.delegation, machineKey: bob.publicKey } },
      { remoteKey: own },
    )
    helloOf(forged.bob)
    expect(verdict(forged.bob, helloOf(forged.alice))).toBe('protocol-violation')
  })

  test('parts politely from one who has another secret, or none', () => {
    for (const secrets of [[randomSecret()], []]) {
      const both = pair({ secrets })
      helloOf(both.bob)
      const actions = both.bob.receive(encodeMessage(helloOf(both.alice)))
      expect(sent(actions)).toMatchObject([{ type: 'bye', code: 'not-a-member' }])
      expect(endOf(actions)).toMatchObject({ error: { code: 'not-a-member', blame: 'source' } })
    }
  })

  // Goal: a proof holds on its own connection only, whoever sends it.
  test('refuses a proof that was made for another connection', () => {
    const replayed = helloOf(pair().alice)
    const both = pair()
    helloOf(both.bob)
    expect(verdict(both.bob, replayed)).toBe('not-a-member')
  })

  test('refuses its own proof, reflected', () => {
    const both = pair()
    const own = helloOf(both.bob)
    expect(verdict(both.bob, own)).toBe('not-a-member')
    // Also where the reflector's key were our own.
    const mirror = pair({}, { remoteKey: bob.publicKey })
    expect(verdict(mirror.bob, helloOf(mirror.bob))).toBe('not-a-member')
  })

  test('refuses anything before the hello, and answers nothing to it', () => {
    const early: Message[] = [
      { type: 'have', added: [], removed: [] },
      { type: 'catalog', request: 0, name: CATALOG },
      { type: 'want', request: 0, digests: ['00'.repeat(32) as Sha256Digest] },
      { type: 'credit', bytes: 1 },
    ]
    for (const message of early) {
      const { bob: session } = pair()
      session.start(0)
      const actions = session.receive(encodeMessage(message))
      expect(sent(actions)).toMatchObject([{ type: 'bye', code: 'protocol-violation' }])
      expect(actions.some(({ do: what }) => what === 'deliver')).toBe(false)
      expect(session.receive(encodeMessage(message))).toEqual([])
    }
  })

  test('sends nothing but its hello before the remote has proved itself', () => {
    const { bob: session } = pair()
    expect(sent(session.start(0)).map(({ type }) => type)).toEqual(['hello'])
  })

  test('parts politely from one whose versions do not meet ours', () => {
    const both = pair()
    helloOf(both.bob)
    const hello = { ...helloOf(both.alice), versionLowest: 5, versionHighest: 6 }
    const actions = both.bob.receive(encodeMessage(hello))
    expect(sent(actions)).toMatchObject([{ type: 'bye', code: 'version-mismatch' }])
    expect(endOf(actions)).toMatchObject({ error: { code: 'version-mismatch' } })
  })

  test('agrees on the highest version that both speak', () => {
    const both = pair()
    helloOf(both.bob)
    const [action] = both.bob.receive(encodeMessage({ ...helloOf(both.alice), versionHighest: 9 }))
    expect(action).toMatchObject({ do: 'opened', remote: { version: 4 } })
  })

  test('gives up one who does not say hello in time', () => {
    const { bob: session } = pair()
    session.start(1000)
    expect(session.deadlineMs).toBe(6000)
    expect(session.tick(5999)).toEqual([])
    expect(endOf(session.tick(6000))).toMatchObject({ error: { code: 'peer-silent' } })
    expect(session.deadlineMs).toBeUndefined()
  })

  test('waits for nothing once it is open', () => {
    const { bob: session } = opened()
    expect(session.tick(1e9)).toEqual([])
  })

  test('ends at a second hello, at garbage, and at a question twice', () => {
    const second = opened()
    expect(verdict(second.bob, helloOf(pair().alice))).toBe('protocol-violation')
    expect(endOf(opened().bob.receive(Uint8Array.from([99, 1, 2])))).toMatchObject({
      error: { code: 'protocol-violation' },
    })
    const { bob: session } = opened()
    const want = encodeMessage({ type: 'want', request: 4, digests: ['00'.repeat(32) as Sha256Digest] })
    expect(session.receive(want)).toMatchObject([{ do: 'deliver' }])
    expect(endOf(session.receive(want))).toMatchObject({ error: { code: 'protocol-violation' } })
  })

  test('bounds the questions that are open at once, and takes new ones as they are answered', () => {
    const { bob: session } = opened()
    const digests = Array.from({ length: 1024 }, () => '00'.repeat(32) as Sha256Digest)
    const want = (request: number) => session.receive(encodeMessage({ type: 'want', request, digests }))
    for (let request = 0; request < 8; request++) expect(want(request)).toMatchObject([{ do: 'deliver' }])
    session.answered(0, 1024)
    expect(want(8)).toMatchObject([{ do: 'deliver' }])
    expect(endOf(want(9))).toMatchObject({ error: { code: 'protocol-violation' } })
  })

  test('bounds the catalogs that a peer announces', () => {
    const { bob: session } = opened()
    const { held } = emptyCatalog()
    const have = (from: number) => {
      const added = Array.from({ length: 1024 }, (_, index) => ({
        ...held,
        name: `${(from + index).toString(16).padStart(16, '0')}v12.linux_amd64` as typeof CATALOG,
      }))
      return session.receive(encodeMessage({ type: 'have', added, removed: [] }))
    }
    for (let from = 0; from < 4096; from += 1024) expect(have(from)).toMatchObject([{ do: 'deliver' }])
    expect(session.catalogs.size).toBe(4096)
    expect(endOf(have(4096))).toMatchObject({ error: { code: 'protocol-violation' } })
  })

  test('knows what the remote holds as it comes and goes', () => {
    const { bob: session } = opened()
    const { held } = emptyCatalog()
    session.receive(encodeMessage({ type: 'have', added: [held], removed: [] }))
    expect([...session.catalogs.values()]).toEqual([held])
    session.receive(encodeMessage({ type: 'have', added: [], removed: [CATALOG] }))
    expect(session.catalogs.size).toBe(0)
  })

  test('leaves in order without an error on either side', () => {
    const both = opened()
    const [bye] = frames(both.alice.leave('leaving', 'done', undefined))
    expect(endOf(both.bob.receive(bye ?? new Uint8Array()))).toEqual({ do: 'end', error: undefined })
    expect(decodeMessage(bye ?? new Uint8Array())).toMatchObject({ type: 'bye', text: 'done' })
  })

  test('names the peer in its errors', () => {
    const end = endOf(opened().bob.receive(Uint8Array.from([99])))
    expect(end?.do === 'end' && end.error?.message).toStartWith('Peer alice broke the protocol')
  })
})
