import { afterAll, beforeAll, describe, expect } from 'bun:test'
import { never } from '../../src/base/clock.ts'
import { openPushTarget, openSubstituter } from '../../src/substituters/open-substituter.ts'
import { FaultProxy } from '../support/fault-proxy.ts'
import { TemporaryDirectory } from '../support/golden.ts'
import { madeEnvironment, noise } from '../support/made-environment.ts'
import { clientOf, type Moto, motoObstacle, startMoto } from '../support/moto.ts'
import { skipUnless } from '../support/skip.ts'
import { AROUND, addressOf, conforms, conformsUnderFaults, environment, failure, TERMS } from './conformance.ts'

const BUCKET = 'environments'
const obstacle = motoObstacle()
const motoTest = skipUnless(obstacle === undefined, obstacle ?? '')
const terms = { ...TERMS, timeoutMs: 3_000, credentialsEnv: 'SECRET' }
let moto: Moto

function addressAt(url: URL, prefix = 'fleet/a') {
  return addressOf(`s3://${BUCKET}/${prefix}?endpoint=${encodeURIComponent(url.href)}&region=eu-north-1`)
}

beforeAll(async () => {
  if (obstacle !== undefined) return
  moto = await startMoto(BUCKET)
  using spool = new TemporaryDirectory()
  await using target = openPushTarget(addressAt(moto.url), terms, AROUND)
  await target.push(environment, { dryRun: false, spool: spool.path, onProgress: () => {} }, never)
}, 60_000)
afterAll(async () => {
  await moto?.[Symbol.asyncDispose]()
})

async function openS3(credentials: object = terms) {
  const proxy = await FaultProxy.start(moto.url)
  const substituter = openSubstituter(addressAt(proxy.url), { ...TERMS, ...credentials }, AROUND)
  return {
    proxy,
    substituter,
    [Symbol.asyncDispose]: async () => {
      await substituter[Symbol.asyncDispose]()
      await proxy[Symbol.asyncDispose]()
    },
  }
}

const place = {
  name: 'an S3 bucket',
  test: motoTest,
  open: openS3,
  isBulk: ({ path }: { readonly path: string }) => path.includes('/pack/'),
}
conforms(place)
conformsUnderFaults(place)

describe('an S3 bucket', () => {
  motoTest('is sent nothing twice, although it is asked by listing', async () => {
    using spool = new TemporaryDirectory()
    await using target = openPushTarget(addressAt(moto.url), terms, AROUND)
    const again = await target.push(environment, { dryRun: false, spool: spool.path, onProgress: () => {} }, never)
    expect([again.blobsSent, again.packBytesSent, again.catalogSent]).toEqual([0, 0, false])
  })

  motoTest('takes a large pack in parts', async () => {
    const big = madeEnvironment({ big: noise('big', 21_000_000), small: 'x' }, 'abcdefabcdefabcd')
    using spool = new TemporaryDirectory()
    await using target = openPushTarget(addressAt(moto.url), terms, AROUND)
    const pushed = await target.push(big, { dryRun: false, spool: spool.path, onProgress: () => {} }, never)
    expect(pushed.packBytesSent ?? 0).toBeGreaterThan(8 * 1024 * 1024)
    const stat = await clientOf(moto.url, BUCKET).stat(`fleet/a/pack/${big.name}`)
    expect(stat.size).toBe(pushed.packBytesSent ?? 0)
    // So S3 names what came in several parts.
    expect(stat.etag).toMatch(/-\d+"?$/)
  })

  motoTest('signs nothing without credentials', async () => {
    await using opened = await openS3({ credentialsEnv: undefined })
    await opened.substituter.find(environment.name, never).catch(() => {})
    expect(opened.proxy.requests.length).toBeGreaterThan(0)
    for (const { path, headers } of opened.proxy.requests) {
      expect([path.includes('X-Amz'), headers.authorization]).toEqual([false, undefined])
    }
  })

  motoTest('shows no signature and no key in what it says', async () => {
    await using opened = await openS3()
    for (const code of ['RequestTimeTooSkewed', 'ExpiredToken', 'InvalidAccessKeyId', 'SignatureDoesNotMatch']) {
      const body = Buffer.from(`<Error><Code>${code}</Code><Message>robot</Message></Error>`)
      opened.proxy.fault = () => ({ kind: 'answer', status: 403, body })
      const error = await failure(opened.substituter.find(environment.name, never))
      expect([error.code, error.message.includes(code)]).toEqual(['source-refused', true])
      expect(`${error.message} ${error.hint} ${error.stack}`).not.toMatch(/X-Amz|s3cret|robot:/)
    }
  })

  motoTest('takes "you may not see it" for "it is not there" where it has credentials', async () => {
    await using opened = await openS3()
    const body = Buffer.from('<Error><Code>AccessDenied</Code></Error>')
    opened.proxy.fault = () => ({ kind: 'answer', status: 403, body })
    expect(await opened.substituter.find(environment.name, never)).toBeUndefined()
  })
})
