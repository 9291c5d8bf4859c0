/** Tickets for lanes, apart from any socket: who may use one, how often, how long. */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { LANE_TICKET_MS, LANE_TICKETS_MAX, LANE_TICKETS_PER_PEER_MAX } from '../../src/base/lane-limits.ts'
import { Tickets } from '../../src/peer/tickets.ts'
import { type KeyPair, keyPairFrom, randomSecret } from '../../src/trust/keys.ts'
import { signLaneCall } from '../../src/trust/lane-call.ts'
import { runs } from '../support/runs.ts'

const pairOf = (byte: number) => keyPairFrom(new Uint8Array(32).fill(byte))
const [server, client, thief] = [pairOf(1), pairOf(2), pairOf(3)]
const holder = { localKey: server.publicKey, remoteKey: client.publicKey }
const binding = new Uint8Array(32).fill(5)

function callOf(ticket: Uint8Array, by: KeyPair, { bound = binding, calledKey = server.publicKey } = {}) {
  const signature = signLaneCall({ ticket, binding: bound, calledKey }, by)
  return { ticket, signature, binding, address: '10.0.0.8:40000' }
}

describe('Tickets', () => {
  test('lets its holder in, once', () => {
    const tickets = new Tickets()
    const ticket = randomSecret()
    expect(tickets.issue(ticket, holder, 0)).toBe(true)
    expect(tickets.redeem(callOf(ticket, client), 1)).toBe(holder)
    expect(tickets.redeem(callOf(ticket, client), 2)).toContain('that was used')
  })

  test('refuses one that is forged, stolen, of another connection or for another machine', () => {
    const tickets = new Tickets()
    const ticket = randomSecret()
    tickets.issue(ticket, holder, 0)
    expect(tickets.redeem(callOf(randomSecret(), client), 1)).toContain('did not give')
    expect(tickets.redeem(callOf(ticket, thief), 1)).toContain("somebody else's")
    const relayed = callOf(ticket, client, { bound: new Uint8Array(32).fill(6) })
    expect(tickets.redeem(relayed, 1)).toContain("somebody else's")
    expect(tickets.redeem(callOf(ticket, client, { calledKey: thief.publicKey }), 1)).toContain("somebody else's")
    // Whoever tried has not used it up.
    expect(tickets.redeem(callOf(ticket, client), 1)).toBe(holder)
  })

  test('refuses an expired one, and forgets it', () => {
    const tickets = new Tickets()
    const ticket = randomSecret()
    tickets.issue(ticket, holder, 0)
    expect(tickets.redeem(callOf(ticket, client), LANE_TICKET_MS)).toContain('expired')
    expect(tickets.count).toBe(0)
  })

  test('gives no more than its bounds, until some were used, have expired, or their session has ended', () => {
    const tickets = new Tickets()
    const first = randomSecret()
    expect(tickets.issue(first, holder, 0)).toBe(true)
    for (let more = 1; more < LANE_TICKETS_PER_PEER_MAX; more++)
      expect(tickets.issue(randomSecret(), holder, 0)).toBe(true)
    expect(tickets.issue(randomSecret(), holder, 0)).toBe(false)
    tickets.redeem(callOf(first, client), 1)
    expect(tickets.issue(randomSecret(), holder, 1)).toBe(true)
    expect(tickets.issue(randomSecret(), holder, LANE_TICKET_MS + 1)).toBe(true)
    tickets.revoke(holder)
    expect(tickets.count).toBe(0)
    for (let peer = 0; peer < LANE_TICKETS_MAX; peer++)
      expect(tickets.issue(randomSecret(), { ...holder }, 0)).toBe(true)
    expect(tickets.issue(randomSecret(), { ...holder }, 0)).toBe(false)
  })

  test('lets nothing in but what it gave, whatever is shown', () => {
    const tickets = new Tickets()
    const given = new Uint8Array(32).fill(1)
    tickets.issue(given, holder, 0)
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
    fc.assert(
      fc.property(fc.oneof(bytes(32), fc.constant(given)), bytes(64), (ticket, signature) => {
        expect(typeof tickets.redeem({ ticket, signature, binding, address: '' }, 1)).toBe('string')
      }),
      { numRuns: runs(300) },
    )
  })

  test('a call is what docs/protocol.md says', () => {
    const { signature } = callOf(new Uint8Array(32).fill(4), client)
    expect(Buffer.from(signature).toString('hex')).toMatchInlineSnapshot(
      `"bd64195ca58a7e1f34759c1b29b96c46057d70220d76f1851371e2f7ab947894d04f216b48001881b16ddfe5c89869c69d3cf832aa9c80452e473c9863bd5403"`,
    )
  })
})
