/** How fast blobs travel between two members in one process: `bun bench/peer.ts [count] [bytes]`. */
import { never } from '../src/base/clock.ts'
import { mapBounded } from '../src/base/concurrency.ts'
import { BLOBS_IN_FLIGHT_MAX } from '../src/base/limits.ts'
import { randomSecret } from '../src/trust/keys.ts'
import { connect, emptyCatalog, member, until } from '../test/support/members.ts'

const count = Number(process.argv[2] ?? 10_000)
const sizeBytes = Number(process.argv[3] ?? 8192)
const secret = randomSecret()
const seed = member(secret)
const client = member(secret, 'client')
const refs = Array.from({ length: count }, () => seed.library.add(crypto.getRandomValues(new Uint8Array(sizeBytes))))
const catalog = emptyCatalog()
seed.library.hold(catalog)
connect(client, seed)
const sources = client.swarm.sourcesFor(catalog.held.sha256, [])
await until(client.swarm, () => client.swarm.isHeld(catalog.held.sha256))
const source = sources.list()[0]
if (source === undefined) throw new Error('no source')

for (let run = 0; run < 5; run++) {
  const startMs = performance.now()
  let bytes = 0
  await mapBounded(
    refs,
    BLOBS_IN_FLIGHT_MAX,
    async (ref) => {
      const stream = await source.get(ref, never)
      if (stream === undefined) throw new Error('missing')
      for await (const chunk of stream.bytes) bytes += chunk.byteLength
    },
    never,
  )
  const ms = performance.now() - startMs
  console.log(
    `${count} blobs of ${sizeBytes}: ${ms.toFixed(0)} ms, ${((ms * 1000) / count).toFixed(1)} µs a blob, ${(bytes / 1000 / ms).toFixed(0)} MB/s`,
  )
}
