/** What the system tells of a lane's bytes on a real link: a queue while the link is slow, nothing once it is cut. */
import { expect } from 'bun:test'
import { join } from 'node:path'
import type { Backlog } from '../../src/base/lane.ts'
import { UPLOAD_QUEUED_MS } from '../../src/base/upload-limits.ts'
import { hostObstacle } from '../support/fleet-hosts.ts'
import { Lan } from '../support/lan.ts'
import { skipUnless } from '../support/skip.ts'

const obstacle = hostObstacle()
const lanTest = skipUnless(obstacle === undefined, obstacle ?? '')

const PORT = 9000
const SINK = `Bun.listen({ hostname: '0.0.0.0', port: ${PORT}, socket: { data() {} } }); console.log('up')`
const CUT = `table ip cut {\n chain in { type filter hook input priority 0; tcp dport ${PORT} drop; }\n}`

lanTest('tcpBacklog() tells of a queue on a slow link, and of nothing once nothing is acknowledged', async () => {
  await using lan = new Lan()
  const [from, to] = [lan.host(), lan.host()]
  const sink = to.spawn([process.execPath, '-e', SINK])
  for await (const _up of sink.stdout) break
  lan.shape(from, 10)
  const sender = from.spawn([
    process.execPath,
    join(import.meta.dir, '../support/backlog-sender.ts'),
    to.address,
    `${PORT}`,
  ])
  const seen: Backlog[] = []
  let cut = false
  let text = ''
  for await (const chunk of sender.stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk
    const lines = text.split('\n')
    text = lines.pop() ?? ''
    seen.push(...lines.map((line) => JSON.parse(line) as Backlog))
    const last = seen.at(-1)
    if (last === undefined) continue
    if (!cut && last.queueMs >= UPLOAD_QUEUED_MS && last.bytes > 0) {
      to.nft(CUT)
      cut = true
    } else if (cut && last.bytes === 0) break
  }
  expect(cut).toBe(true)
  expect(seen.at(-1)).toEqual({ bytes: 0, queueMs: 0 })
})
