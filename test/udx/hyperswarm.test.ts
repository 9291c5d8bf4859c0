/** Unmodified hyperswarm on packages/udx: what the package is for. */
import { expect, test } from 'bun:test'
import { createHash, randomBytes } from 'node:crypto'
import DHT from 'hyperdht'
import Hyperswarm from 'hyperswarm'

// Goal: hyperswarm's own code, from node_modules, finds a peer over a private DHT and moves data both ways.
test('two hyperswarms exchange data over a private DHT', async () => {
  const host = '127.0.0.1'
  const port = freePort()
  const bootstrapper = DHT.bootstrapper(port, host, { host })
  await bootstrapper.fullyBootstrapped()
  const bootstrap = [{ host, port }]
  const swarm = () => new Hyperswarm({ dht: new DHT({ bootstrap, host, firewalled: false }) })
  const [server, client] = [swarm(), swarm()]
  const topic = randomBytes(32)
  const [question, answer] = [randomBytes(300_000), randomBytes(2_000_000)]
  const asked = Promise.withResolvers<Buffer>()
  const answered = Promise.withResolvers<Buffer>()
  server.on('connection', (connection) => {
    connection.on('error', asked.reject)
    take(connection, question.byteLength, (bytes) => {
      asked.resolve(bytes)
      connection.write(answer)
    })
  })
  client.on('connection', (connection) => {
    connection.on('error', answered.reject)
    connection.write(question)
    take(connection, answer.byteLength, answered.resolve)
  })
  await server.join(topic, { server: true, client: false }).flushed()
  client.join(topic, { server: false, client: true })
  expect(sha256(await asked.promise)).toBe(sha256(question))
  expect(sha256(await answered.promise)).toBe(sha256(answer))
  await Promise.all([server.destroy(), client.destroy()])
  await bootstrapper.destroy()
})

function take(
  connection: { on(event: 'data', listener: (chunk: Uint8Array) => void): unknown },
  length: number,
  done: (bytes: Buffer) => void,
): void {
  const chunks: Uint8Array[] = []
  let received = 0
  connection.on('data', (chunk) => {
    chunks.push(chunk)
    received += chunk.byteLength
    if (received === length) done(Buffer.concat(chunks))
  })
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** A UDP port that is free now. */
function freePort(): number {
  const socket = Bun.peek(Bun.udpSocket({ hostname: '127.0.0.1', port: 0, socket: { data() {} } }))
  if (socket instanceof Promise) throw new Error('binding did not finish at once')
  const { port } = socket
  socket.close()
  return port
}
