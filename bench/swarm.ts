/**
 * How fast blobs travel over Hyperswarm on loopback, the two members in processes of their own:
 * `bun bench/swarm.ts [count] [bytes]`. Prints the time from process start to link and to first blob, too.
 */
import { never, systemClock } from '../src/base/clock.ts'
import { mapBounded } from '../src/base/concurrency.ts'
import { BLOBS_IN_FLIGHT_MAX } from '../src/base/limits.ts'
import { systemRandom } from '../src/base/random.ts'
import type { BlobRef } from '../src/blob/source.ts'
import { startHyperswarm } from '../src/discovery/hyperswarm.ts'
import { keyPairFrom, randomSecret } from '../src/trust/keys.ts'
import { ownWord } from '../src/trust/publication.ts'
import { CATALOG, connectedSwarm, emptyCatalog, until } from '../test/support/members.ts'

const secret = new Uint8Array(32).fill(42)
const topic = new Uint8Array(32).fill(43)
const catalog = emptyCatalog()

async function enter(mode: 'daemon' | 'client', port: number) {
  return startHyperswarm(
    {
      keyPair: keyPairFrom(randomSecret()),
      mode,
      bootstraps: mode === 'client' ? [{ host: '127.0.0.1', port }] : [],
      port,
      dht: 'private',
      delegation: undefined,
      secrets: () => [secret],
      multicast: false,
      refuses: () => false,
      clock: systemClock,
      random: systemRandom,
    },
    never,
  )
}

async function seed(count: number, sizeBytes: number): Promise<void> {
  const discovery = await enter('daemon', 48_000)
  const { library } = connectedSwarm(secret, 'daemon', discovery)
  const refs = Array.from({ length: count }, () => library.add(crypto.getRandomValues(Buffer.alloc(sizeBytes))))
  library.hold(catalog)
  await discovery.join(topic).flushed(never)
  process.send?.({ refs, port: discovery.bootstrapAddresses[0]?.port })
}

async function fetchAllOf(refs: readonly BlobRef[], port: number): Promise<void> {
  const discovery = await enter('client', port)
  const { swarm } = connectedSwarm(secret, 'client', discovery)
  discovery.join(topic)
  await until(swarm, () => swarm.peers().length > 0)
  const linkMs = performance.now()
  await swarm.find(CATALOG, { waitMs: 5_000, judge: () => ownWord }, never)
  const source = swarm.sourcesFor(catalog.held.sha256, []).list()[0]
  if (source === undefined) throw new Error('no source')
  for (let run = 0; run < 4; run++) {
    const startMs = performance.now()
    let bytes = 0
    let firstMs: number | undefined
    await mapBounded(
      refs,
      BLOBS_IN_FLIGHT_MAX,
      async (ref) => {
        for await (const chunk of (await source.get(ref, never))?.bytes ?? []) {
          firstMs ??= performance.now()
          bytes += chunk.byteLength
        }
      },
      never,
    )
    const ms = performance.now() - startMs
    const each = ((ms * 1000) / refs.length).toFixed(1)
    if (run === 0)
      console.log(`process start to member ${linkMs.toFixed(0)} ms, to first blob ${firstMs?.toFixed(0)} ms`)
    console.log(`${refs.length} blobs: ${ms.toFixed(0)} ms, ${each} µs a blob, ${(bytes / 1000 / ms).toFixed(0)} MB/s`)
  }
  const startMs = performance.now()
  await swarm[Symbol.asyncDispose]()
  await discovery[Symbol.asyncDispose]()
  console.log(`left in ${(performance.now() - startMs).toFixed(0)} ms`)
}

const [role, first, second] = process.argv.slice(2)
if (role === 'seed') await seed(Number(first), Number(second))
else if (role === 'client') {
  process.on('message', ({ refs, port }: { refs: BlobRef[]; port: number }) => {
    void fetchAllOf(refs, port).then(() => process.exit(0))
  })
} else {
  const [count = '10000', sizeBytes = '8192'] = process.argv.slice(2)
  const done = Promise.withResolvers<void>()
  const holder = Bun.spawn(['bun', import.meta.path, 'seed', count, sizeBytes], {
    stdout: 'inherit',
    ipc(message) {
      const client = Bun.spawn(['bun', import.meta.path, 'client'], { stdout: 'inherit', ipc() {} })
      client.send(message)
      void client.exited.then(() => done.resolve())
    },
  })
  await done.promise
  holder.kill()
}
