import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { catalogName } from '../../src/catalog/names.ts'
import type { CatalogSignature } from '../../src/trust/catalog-signature.ts'
import { FAULTS, judge, type Known, type TrustPolicy, type Verdict } from '../../src/trust/judge.ts'
import { KeyRules } from '../../src/trust/key-rules.ts'
import { keyHex } from '../../src/trust/key-text.ts'
import { untrusted } from '../../src/trust/untrusted.ts'
import { runs } from '../support/runs.ts'
import { digestOf, namedKey, pairOf, STATEMENT, signedBy } from '../support/signatures.ts'

const secret = new Uint8Array(32).fill(1)
const foreign = new Uint8Array(32).fill(2)
const revoked = new KeyRules({
  allow: [],
  ban: ['revoked', 'lost-machine'].map((name) => keyHex(pairOf(name).publicKey)),
})

const fleet: TrustPolicy = {
  rule: 'fleet',
  trusted: [namedKey('factory')],
  isRevoked: (key) => revoked.bans(key),
  secrets: [secret],
  allowRollback: false,
}
const keys: TrustPolicy = { ...fleet, rule: 'keys' }
const member: Known['offerer'] = { kind: 'member', machineKey: pairOf('neighbour').publicKey }
const mirror: Known['offerer'] = { kind: 'substituter', trusted: false }
const share: Known['offerer'] = { kind: 'substituter', trusted: true }

function known(offerer: Known['offerer'], change: Partial<Known> = {}): Known {
  const { catalog: name, base, sha256, pieceTable } = STATEMENT
  return { name, base, sha256, pieceTable, offerer, lastWords: new Map(), ...change }
}

const knew = (name: string, serial: number, content = 'catalog') => ({
  lastWords: new Map([[keyHex(pairOf(name).publicKey), { serial, sha256: digestOf(content) }]]),
})
const ofMember = (change = {}) => signedBy('builder-7', change, [secret])
const holding = (change = {}) => signedBy('holder-3', { role: 'holder', ...change }, [secret])
const tampered = (signature: CatalogSignature) => ({ ...signature, signature: new Uint8Array(64) })

/** What is asked, of whom by which policy, and the grounds or the reason. */
type Row = [what: string, answer: string, ask: () => Verdict]
const row = (
  what: string,
  answer: string,
  signatures: readonly CatalogSignature[],
  policy: TrustPolicy,
  facts: Known,
): Row => [what, answer, () => judge(signatures, policy, facts)]

const matrix: Row[] = [
  row('a trusted key, from anybody', 'trusted-key', [signedBy('factory')], fleet, known(mirror)),
  row('a trusted key, where only keys count', 'trusted-key', [signedBy('factory')], keys, known(member)),
  row('a member that has left, from another member', 'member', [ofMember()], fleet, known(member)),
  row('a holder', 'member', [holding()], fleet, known(member)),
  row('a member, where only keys count', 'key-unknown', [ofMember()], keys, known(member)),
  row('a member, from a mirror', 'key-unknown', [ofMember()], fleet, known(mirror)),
  row('an unknown key, from a mirror', 'key-unknown', [signedBy('who')], fleet, known(mirror)),
  row('an unknown key, from a member', 'proved-member', [signedBy('who')], fleet, known(member)),
  row(
    'the tag of another fleet, from a member',
    'proved-member',
    [signedBy('who', {}, [foreign])],
    fleet,
    known(member),
  ),
  row('the tag of another fleet, from a mirror', 'key-unknown', [signedBy('who', {}, [foreign])], fleet, known(mirror)),
  row(
    'the tag of another key',
    'proved-member',
    [{ ...signedBy('who'), memberTags: ofMember().memberTags }],
    fleet,
    known(member),
  ),
  row('nothing, from a member', 'proved-member', [], fleet, known(member)),
  row('nothing, where only keys count', 'unsigned', [], keys, known(member)),
  row('nothing, from a mirror', 'unsigned', [], fleet, known(mirror)),
  row('nothing, from a source called trusted', 'trusted-source', [], keys, known(share)),
  row('an unknown key, from a source called trusted', 'trusted-source', [signedBy('who')], keys, known(share)),
  row(
    'nothing, from a member whose key is revoked',
    'offerer-revoked',
    [],
    fleet,
    known({ kind: 'member', machineKey: pairOf('lost-machine').publicKey }),
  ),
  row(
    'a trusted key, from a member whose key is revoked',
    'offerer-revoked',
    [signedBy('factory')],
    fleet,
    known({ kind: 'member', machineKey: pairOf('lost-machine').publicKey }),
  ),
  row('a revoked key', 'key-revoked', [signedBy('revoked', {}, [secret])], fleet, known(member)),
  row('a revoked key, from a source called trusted', 'key-revoked', [signedBy('revoked')], fleet, known(share)),
  row(
    'a revoked key that is trusted too',
    'key-revoked',
    [signedBy('revoked')],
    { ...keys, trusted: [namedKey('revoked')] },
    known(member),
  ),
  row(
    'a revoked builder, and somebody who holds it',
    'key-revoked',
    [signedBy('revoked', {}, [secret]), holding()],
    fleet,
    known(member),
  ),
  row(
    'a revoked builder, and another builder',
    'member',
    [signedBy('revoked', {}, [secret]), ofMember()],
    fleet,
    known(member),
  ),
  row('a wrong signature', 'signature-wrong', [tampered(signedBy('factory'))], fleet, known(member)),
  row(
    'a wrong signature, from a source called trusted',
    'signature-wrong',
    [tampered(signedBy('who'))],
    fleet,
    known(share),
  ),
  row(
    'a signature passed on under another name',
    'signature-wrong',
    [{ ...signedBy('factory'), key: { ...namedKey('factory'), name: 'f' } }],
    fleet,
    known(member),
  ),
  row(
    'another catalog name',
    'other-name',
    [signedBy('factory', { catalog: catalogName('fedcba9876543210', 'linux_amd64') })],
    fleet,
    known(member),
  ),
  row(
    'another platform',
    'other-name',
    [signedBy('factory', { catalog: catalogName('0123456789abcdef', 'darwin_arm64') })],
    fleet,
    known(member),
  ),
  row('another content', 'other-content', [signedBy('factory', { sha256: digestOf('other') })], fleet, known(member)),
  row('another base', 'other-base', [signedBy('factory', { base: '/home/robot/ht' })], fleet, known(member)),
  row(
    'another piece table',
    'other-pieces',
    [signedBy('factory', { pieceTable: digestOf('other') })],
    fleet,
    known(member),
  ),
  row(
    'a piece table that nobody knows yet',
    'trusted-key',
    [signedBy('factory', { pieceTable: digestOf('other') })],
    fleet,
    known(member, { pieceTable: undefined }),
  ),
  row(
    'an older serial of the same key',
    'signature-older',
    [signedBy('factory')],
    fleet,
    known(member, knew('factory', 8, 'newer')),
  ),
  row(
    'an older serial, asked for by name',
    'trusted-key',
    [signedBy('factory')],
    { ...fleet, allowRollback: true },
    known(member, knew('factory', 8, 'newer')),
  ),
  row('the same serial again', 'trusted-key', [signedBy('factory')], fleet, known(member, knew('factory', 7))),
  row(
    'the same serial with another content',
    'signature-older',
    [signedBy('factory')],
    fleet,
    known(member, knew('factory', 7, 'other')),
  ),
  row('a newer serial', 'trusted-key', [signedBy('factory')], fleet, known(member, knew('factory', 6, 'older'))),
  row(
    'an older serial, while another key has a newer one',
    'trusted-key',
    [signedBy('factory')],
    fleet,
    known(member, knew('builder-7', 8)),
  ),
  row(
    'an older builder, and somebody who holds it',
    'signature-older',
    [signedBy('factory'), holding()],
    fleet,
    known(member, knew('factory', 8, 'newer')),
  ),
  row(
    'several keys of which one fits',
    'trusted-key',
    [signedBy('who'), tampered(ofMember()), signedBy('factory')],
    keys,
    known(mirror),
  ),
  row(
    'several keys of which none fits',
    'signature-wrong',
    [signedBy('who'), tampered(ofMember())],
    keys,
    known(mirror),
  ),
]

const answerOf = (verdict: Verdict) => (verdict.accepted ? verdict.grounds : verdict.reason)

describe('judge()', () => {
  for (const [what, answer, ask] of matrix) {
    test(`answers ${answer} to ${what}`, () => {
      const verdict = ask()
      expect<string>(answerOf(verdict)).toBe(answer)
      if (verdict.accepted) return
      const error = untrusted('Catalog x of peer y', verdict)
      expect(error).toMatchObject({ blame: 'trust', code: answer === 'unsigned' ? 'catalog-unsigned' : answer })
      expect(error.message).toStartWith('Catalog x of peer y is not trusted: ')
      expect(error.hint).toBeTruthy()
    })
  }

  test('has a row for every fault', () => {
    const answers = new Set<string>(matrix.map(([, answer]) => answer))
    expect(FAULTS.filter((fault) => !answers.has(fault))).toEqual([])
    const verdict = judge([signedBy('who')], fleet, known(member))
    expect(verdict.accepted && verdict.strangers).toEqual([signedBy('who')])
  })

  test('rests on a trusted key before a member, a builder before a holder, the latest before others', () => {
    const best = (...signatures: CatalogSignature[]) => {
      const verdict = judge(signatures, fleet, known(member))
      return verdict.accepted ? verdict.signature?.key.name : undefined
    }
    expect(best(holding(), ofMember())).toBe('builder-7')
    expect(best(ofMember(), signedBy('factory', { role: 'holder' }))).toBe('factory')
    const later = signedBy('builder-8', { timeMs: STATEMENT.timeMs + 1 }, [secret])
    expect(best(ofMember(), later)).toBe('builder-8')
  })

  test('keeps what fits, of strangers too, and nothing else', () => {
    const good = [ofMember(), signedBy('who')]
    const bad = [tampered(signedBy('factory')), signedBy('late', { sha256: digestOf('other') })]
    const verdict = judge([...bad, ...good], fleet, known(member))
    expect(verdict.accepted && [...verdict.believed, ...verdict.strangers]).toEqual(good)
  })

  test('does not depend on the order of signatures', () => {
    const pool = [
      signedBy('factory'),
      ofMember(),
      holding(),
      signedBy('who'),
      signedBy('revoked', {}, [secret]),
      tampered(signedBy('late', {}, [secret])),
      signedBy('elsewhere', { base: '/x' }, [secret]),
    ]
    const facts = [known(member), known(mirror), known(share), known(member, knew('factory', 9, 'newer'))]
    fc.assert(
      fc.property(
        fc.shuffledSubarray(pool),
        fc.constantFrom(fleet, keys),
        fc.constantFrom(...facts),
        (some, policy, fact) => {
          const sorted = [...some].sort((left, right) => (left.key.name < right.key.name ? -1 : 1))
          const [one, other] = [judge(some, policy, fact), judge(sorted, policy, fact)]
          expect(answerOf(one)).toBe(answerOf(other))
          expect(one.accepted && one.signature).toEqual(other.accepted && other.signature)
        },
      ),
      { numRuns: runs(60) },
    )
  })
})
