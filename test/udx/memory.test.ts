/** What packages/udx keeps of idle hours and of connections that are gone: bench/udx-memory.ts in a process of its own. */
import { expect, test } from 'bun:test'

const BENCH = new URL('../../bench/udx-memory.ts', import.meta.url).pathname

test('24 simulated hours of idle connections and 10,000 connects leave nothing in memory', async () => {
  const child = Bun.spawn([process.execPath, BENCH], { stdout: 'pipe', stderr: 'inherit' })
  const [report, status] = [await new Response(child.stdout).text(), await child.exited]
  if (status !== 0) console.log(report)
  expect(status).toBe(0)
})
