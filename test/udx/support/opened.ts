import { afterEach } from 'bun:test'
import type { UDXSocket } from '../../../packages/udx/src/socket.ts'
import type { StreamOptions, UDXStream } from '../../../packages/udx/src/stream.ts'
import type { UDX } from '../../../packages/udx/src/udx.ts'

export const portOf = (socket: UDXSocket) => socket.address()?.port ?? 0

/** Ways to open sockets and streams that are closed after each test of the calling file. */
export function opener() {
  const sockets: UDXSocket[] = []
  const streams: UDXStream[] = []
  afterEach(async () => {
    for (const stream of streams.splice(0)) stream.on('error', () => {}).destroy()
    await Promise.all(sockets.splice(0).map((socket) => socket.close()))
  })
  return {
    /** A socket on a free port of `host`, of all addresses where there is none. */
    bound(udx: UDX, host?: string): UDXSocket {
      const socket = udx.createSocket()
      socket.bind(0, host)
      sockets.push(socket)
      return socket
    },
    stream(udx: UDX, id: number, options?: StreamOptions): UDXStream {
      const made = udx.createStream(id, options)
      streams.push(made)
      return made
    },
  }
}
