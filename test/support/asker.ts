/**
 * Two askers by multicast, for a test on several hosts: `bun asker.ts ADDRESS`, with the address of the interface. The first
 * is of a fleet that nobody knows, the second of that of swarm-member.ts. Prints a line of JSON once the second was sent
 * something: what came to the port of each, in hex.
 */
import multicastDns from 'multicast-dns'
import { encodeAsker, SERVICE } from '../../src/discovery/beacon-record.ts'
import { beaconTag } from '../../src/trust/fleet.ts'
import { randomSecret } from '../../src/trust/keys.ts'

const [address = ''] = process.argv.slice(2)
const secrets = [randomSecret(), new Uint8Array(32).fill(1)]
const heard: string[][] = [[], []]
const sockets = await Promise.all(
  heard.map((bytes) =>
    Bun.udpSocket({
      hostname: '0.0.0.0',
      socket: {
        data: (_socket, datagram) => {
          bytes.push(datagram.toString('hex'))
          if (bytes !== heard[1]) return
          process.stdout.write(JSON.stringify(heard))
          process.exit(0)
        },
      },
    }),
  ),
)
const dns = multicastDns({ interface: address, bind: '0.0.0.0' })
dns.on('ready', () => {
  for (const [index, secret] of secrets.entries()) {
    const [nonce, port] = [randomSecret(16), sockets[index]?.port ?? 0]
    const additionals = encodeAsker({ nonce, port, tags: [beaconTag(secret, nonce, port)] })
    dns.query({ questions: [{ name: SERVICE, type: 'PTR' }], additionals }, () => {})
  }
})
