/**
 * Another multicast DNS responder on the same port, as avahi is one: `bun other-responder.ts ADDRESS [ask]`. Answers for
 * the name `host-ADDRESS.local`; with `ask` it asks for the names of all such responders, prints them and ends.
 */
import multicastDns from 'multicast-dns'

const [address = '', ask] = process.argv.slice(2)
const SERVICE = '_other._tcp.local'
const dns = multicastDns({ interface: address, bind: '0.0.0.0' })
if (ask === undefined) {
  dns.on('query', ({ questions }) => {
    if (!questions.some(({ name }) => name === SERVICE)) return
    dns.respond({ answers: [{ name: SERVICE, type: 'PTR', ttl: 120, data: `host-${address}.local` }] }, null, () => {})
  })
  dns.on('ready', () => process.stdout.write('ready\n'))
} else {
  const heard = new Set<unknown>()
  dns.on('response', ({ answers }) => {
    for (const { name, data } of answers) if (name === SERVICE) heard.add(data)
    if (heard.size < 2) return
    process.stdout.write(JSON.stringify([...heard].sort()))
    process.exit(0)
  })
  dns.on('ready', () => dns.query({ questions: [{ name: SERVICE, type: 'PTR' }], additionals: [] }, () => {}))
}
