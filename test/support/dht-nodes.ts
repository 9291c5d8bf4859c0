/**
 * The outside world of a test with NATs: `bun dht-nodes.ts ADDRESS…` runs a persistent DHT node at port 49737 of each
 * address, all in one DHT, and prints `ready`.
 */
import HyperDHT from 'hyperdht'

const addresses = process.argv.slice(2)
const PORT = 49_737
const [first] = addresses
for (const host of addresses) {
  const bootstrap = host === first || first === undefined ? [] : [{ host: first, port: PORT }]
  const node = HyperDHT.bootstrapper(PORT, host, { host, bootstrap })
  await node.fullyBootstrapped()
}
process.stdout.write('ready\n')
