/** The public test suites of udx-native and dht-rpc, run on Bun against packages/udx: see docs/udx-conformance.md. */
import { expect } from 'bun:test'
import { skipForgivenUnless } from '../support/skip.ts'

const test = skipForgivenUnless((process.env.UPSTREAM_DIR ?? '') !== '', 'UPSTREAM_DIR names no upstream checkouts')
const SCRIPT = new URL('../../scripts/udx-conformance.ts', import.meta.url).pathname

test('packages/udx passes the suites of udx-native and dht-rpc', async () => {
  const child = Bun.spawn([process.execPath, SCRIPT], { stdout: 'pipe', stderr: 'inherit' })
  const [report, status] = [await new Response(child.stdout).text(), await child.exited]
  if (status !== 0) console.log(report)
  expect(status).toBe(0)
}, 900_000)
