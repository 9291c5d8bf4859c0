/**
 * The connections of a server: how many there are, and how long each may keep it waiting.
 *
 * A connection always has a time by which something must have happened: the head of its next request, its body, the
 * next part of the answer taken. When that runs out it is closed without a word, whatever trickled in meanwhile.
 */
import type { Socket } from 'node:net'
import { after } from '../base/clock.ts'
import { DOOR_BODY_MS, DOOR_CONNECTIONS_MAX, DOOR_HEAD_MS, DOOR_LINGER_MS, DOOR_STALL_MS } from '../base/door-limits.ts'

/** How much of a server's patience there is; what each is for stands in `base/limits.ts`. */
export interface ConnectionBounds {
  readonly connectionsMax: number
  readonly headMs: number
  readonly bodyMs: number
  readonly stallMs: number
  readonly lingerMs: number
}

export const CONNECTION_BOUNDS: ConnectionBounds = {
  connectionsMax: DOOR_CONNECTIONS_MAX,
  headMs: DOOR_HEAD_MS,
  bodyMs: DOOR_BODY_MS,
  stallMs: DOOR_STALL_MS,
  lingerMs: DOOR_LINGER_MS,
}

export class Connections {
  readonly #open = new Map<Socket, Connection>()

  constructor(private readonly bounds: ConnectionBounds) {}

  /** @returns undefined where there are too many: the socket is closed */
  admit(socket: Socket): Connection | undefined {
    // Who closes a connection hard is no affair of ours.
    socket.on('error', () => {})
    if (this.#open.size >= this.bounds.connectionsMax) {
      socket.destroy()
      return undefined
    }
    const connection = new Connection(socket, this.bounds)
    this.#open.set(socket, connection)
    socket.once('close', () => {
      this.#open.delete(socket)
      connection.rest()
    })
    connection.expect('headMs')
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

  constructor(
    private readonly socket: Socket,
    private readonly bounds: ConnectionBounds,
  ) {}

  /** Close it, unless this or `rest` is called again within the time of `what`. */
  expect(what: Exclude<keyof ConnectionBounds, 'connectionsMax'>): void {
    this.#stop()
    this.#stop = after(this.bounds[what], () => this.socket.destroy())
  }

  /** It is our turn: nothing is expected from the client. */
  rest(): void {
    this.#stop()
    this.#stop = () => {}
  }
}
