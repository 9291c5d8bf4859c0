/**
 * What happens to one TLS connection, told to whoever holds it at that moment: a stranger first, then a link.
 */
import type { Socket, SocketHandler } from 'bun'
import { freeNow } from '../base/free-now.ts'

export interface Endpoint {
  /** @param bytes lent: nobody's after the call */
  received(bytes: Uint8Array): void
  /** The socket takes bytes again. */
  writable(): void
  /** Once; nothing follows. */
  ended(error: Error | undefined): void
}

/** Handlers for all sockets of one kind: each socket's `data` is its endpoint. */
export function endpointHandlers(
  onOpen: (socket: Socket<Endpoint>) => void,
  onSecured: (socket: Socket<Endpoint>) => void,
): SocketHandler<Endpoint> {
  return {
    open: onOpen,
    handshake: onSecured,
    data: ({ data: endpoint }, bytes) => {
      endpoint?.received(bytes)
      // Half a megabyte each time: the next one gets the same memory, not new one.
      freeNow(bytes)
    },
    drain: ({ data: endpoint }) => endpoint?.writable(),
    error: (socket, error) => {
      socket.data?.ended(error)
      socket.terminate()
    },
    // No half-open connections: an end that closes its side has closed both.
    end: (socket) => void socket.end(),
    close: ({ data: endpoint }, error) => endpoint?.ended(error),
  }
}
