/** The part of multicast-dns 7.2 (and dns-packet 5.6 below it) that holo-peer uses; the package ships no types. */
declare module 'multicast-dns' {
  import type { EventEmitter } from 'node:events'

  namespace multicastDns {
    interface Question {
      name: string
      type: string
    }
    interface Answer extends Question {
      /** Seconds. */
      ttl?: number
      /** Whether it takes the place of what was known under this name. */
      flush?: boolean
      data?: unknown
    }
    /** What came in; nothing in it has been checked but that it is a DNS packet. */
    interface Packet {
      type: 'query' | 'response'
      questions: Question[]
      answers: Answer[]
      additionals: Answer[]
    }
    interface Remote {
      address: string
      port: number
      family: 'IPv4' | 'IPv6'
    }
    interface Options {
      type?: 'udp4' | 'udp6'
      /** The multicast group. */
      ip?: string
      /** IPv4: an address of the interface; IPv6: `::%eth0`. */
      interface?: string
      /** Address to bind. */
      bind?: string
      reuseAddr?: boolean
    }
    interface MulticastDns extends EventEmitter {
      query(packet: { questions: Question[]; additionals: Answer[] }, sent: (error?: Error | null) => void): void
      /** `to` null: to all. */
      respond(
        packet: { answers: Answer[] },
        to: { address: string; port: number } | null,
        sent: (error?: Error | null) => void,
      ): void
      destroy(done?: () => void): void
      on(event: 'query' | 'response', listener: (packet: Packet, from: Remote) => void): this
      on(event: 'ready', listener: () => void): this
      /** `error`: it cannot be used; `warning`: a packet that is none, an interface that has gone. */
      on(event: 'error' | 'warning', listener: (error: Error) => void): this
    }
  }
  function multicastDns(options?: multicastDns.Options): multicastDns.MulticastDns
  export = multicastDns
}
