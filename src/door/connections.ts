/**
 * The connections of a server: how many there are, and how long each may keep it waiting.
 *
 * A connection always has a time by which something must have happened: the head of its next request, its body, the
 * next part of the answer taken. When that runs out it is closed without a word, whatever trickled in meanwhile.
 */
import type { Socket } from 'node:net'
import { deadline, never } from '../base/clock.ts'
import { DOOR_CONNECTIONS_MAX, DOOR_HEAD_MS } from '../base/limits.ts'

export class Connections {
  readonly #open = new Map<Socket, Connection>()

  /** @returns undefined where there are too many: the socket is closed */
  admit(socket: Socket): Connection | undefined {
    // Who closes a connection hard is no affair of ours.
    socket.on('error', () => {})
    if (this.#open.size >= DOOR_CONNECTIONS_MAX) {
      socket.destroy()
      return undefined
    }
    const connection = new Connection(socket)
    this.#open.set(socket, connection)
    socket.once('close', () => {
      this.#open.delete(socket)
      connection.rest()
    })
    connection.within(DOOR_HEAD_MS)
    return connection
  }

  of(socket: Socket): Connection | undefined {
    return this.#open.get(socket)
  }

  closeAll(): void {
    for (const socket of [...this.#open.keys()]) socket.destroy()
  }
}

export class Connection {
  #stop = () => {}
  /** Whether a request is being answered: one at a time, since answers that wait for each other would pile up. */
  busy = false

  constructor(private readonly socket: Socket) {}

  /** Close it, unless this or `rest` is called again within `ms`. */
  within(ms: number): void {
    this.#stop()
    const wait = deadline(ms, new Error('the client was too slow'), never)
    wait.signal.addEventListener('abort', () => this.socket.destroy(), { once: true })
    this.#stop = wait.clear
  }

  /** It is our turn: nothing is expected from the client. */
  rest(): void {
    this.#stop()
    this.#stop = () => {}
  }
}
