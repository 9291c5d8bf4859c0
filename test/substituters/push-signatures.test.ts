import { describe, expect, test } from 'bun:test'
import { never } from '../../src/base/clock.ts'
import { openPushTarget, openSubstituter } from '../../src/substituters/open-substituter.ts'
import { signaturesToSend } from '../../src/substituters/push-environment.ts'
import { decodeSignatures, encodeSignatures, signatureLines } from '../../src/trust/signature-json.ts'
import { TemporaryDirectory } from '../support/golden.ts'
import { madeEnvironment } from '../support/made-environment.ts'
import { digestOf, signedBy } from '../support/signatures.ts'
import { AROUND, addressOf, TERMS } from './conformance.ts'

const sha256 = digestOf('catalog')
const fileOf = (...signatures: Parameters<typeof encodeSignatures>[0]) => encodeSignatures(signatures)
const namesIn = (file: Uint8Array | undefined) =>
  file === undefined
    ? undefined
    : decodeSignatures(signatureLines(file))
        .map(({ key }) => key.name)
        .sort()

describe('signaturesToSend()', () => {
  test('adds ours to those of others, and sends nothing where that is what is there', () => {
    const ours = fileOf(signedBy('ours'))
    const merged = signaturesToSend({ sha256, signatures: ours }, fileOf(signedBy('theirs')))
    expect(namesIn(merged)).toEqual(['ours', 'theirs'])
    expect(signaturesToSend({ sha256, signatures: ours }, merged)).toBeUndefined()
    expect(signaturesToSend({ sha256, signatures: undefined }, undefined)).toBeUndefined()
    expect(signaturesToSend({ sha256, signatures: undefined }, merged)).toBeUndefined()
  })

  test('takes out what was said of another catalog of that name, by whomever and however late', () => {
    const stale = fileOf(
      signedBy('theirs', { sha256: digestOf('old') }),
      signedBy('ours', { sha256: digestOf('old'), serial: 99 }),
    )
    expect(namesIn(signaturesToSend({ sha256, signatures: fileOf(signedBy('ours')) }, stale))).toEqual(['ours'])
    expect(signaturesToSend({ sha256, signatures: undefined }, stale)?.byteLength).toBe(0)
  })
})

test('push() of another catalog under a name leaves no signature of the one before', async () => {
  using folder = new TemporaryDirectory()
  using spool = new TemporaryDirectory()
  const address = addressOf(`file://${folder.path}`)
  await using target = openPushTarget(address, TERMS, AROUND)
  await using source = openSubstituter(address, TERMS, AROUND)
  const options = { dryRun: false, spool: spool.path, onProgress: () => {} }
  const first = madeEnvironment({ file: 'first' })
  const signatures = fileOf(signedBy('builder', { catalog: first.name, sha256: first.sha256 }))
  expect((await target.push({ ...first, signatures }, options, never)).signaturesSent).toBe(true)
  expect(namesIn((await source.find(first.name, never))?.signatures)).toEqual(['builder'])
  const second = madeEnvironment({ file: 'second' })
  expect(await target.push(second, options, never)).toMatchObject({ signaturesSent: true, catalogSent: true })
  expect(namesIn((await source.find(second.name, never))?.signatures)).toEqual([])
})
