/**
 * Sends as much as goes to a sink over TCP, for tests on several hosts: `bun backlog-sender.ts ADDRESS PORT`. Prints what
 * the system has of it, a line of JSON every 100 ms.
 */
import type { Socket } from 'bun'
import { tcpBacklog } from '../../src/lane/tcp-backlog.ts'

const [hostname = '', port = '0'] = process.argv.slice(2)
const chunk = new Uint8Array(65_536)
const fill = (socket: Socket) => {
  while (socket.write(chunk) === chunk.byteLength) {}
}
const socket = await Bun.connect({ hostname, port: Number(port), socket: { data() {}, open: fill, drain: fill } })
const { fd } = socket as Socket & { readonly fd: number }
setInterval(() => process.stdout.write(`${JSON.stringify(tcpBacklog(fd) ?? {})}\n`), 100)
