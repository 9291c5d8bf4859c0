/**
 * What a daemon's beacon says on the LAN: the DNS-SD records of one instance of `_holo-peer._udp`.
 *
 * Pure. The instance and its host are named by a random nonce, fresh for every start; SRV has the port, TXT a tag for
 * each fleet that only its members recognise. An observer learns that an address runs holo-peer, its port, since when,
 * and how many fleets it is in; not which ones, nor whether two machines have one in common. Whatever is not exactly of
 * this form is passed over: the group is open to everybody. A question may carry the same for who only asks, so that
 * members know at which port it awaits their answer.
 */
import { isIPv4, isIPv6 } from 'node:net'
import type { Answer, Packet } from 'multicast-dns'
import { BEACON_RECORDS_MAX, FLEETS_MAX } from '../base/limits.ts'
import { BEACON_TAG_BYTES } from '../trust/fleet.ts'

export const SERVICE = '_holo-peer._udp.local'
export const NONCE_BYTES = 16
/** RFC 6762, section 10: 75 minutes, and 2 minutes for what names a host. */
const TTL_SECONDS = 4500
const HOST_TTL_SECONDS = 120
const INSTANCE = new RegExp(`^([0-9a-f]{${2 * NONCE_BYTES}})\\.${SERVICE.replaceAll('.', '\\.')}$`, 'i')
/** Twice the fleets of one machine: while a secret is being changed, each has two. */
const TAGS_MAX = 2 * FLEETS_MAX

export interface Beacon {
  /** 16 random bytes. */
  readonly nonce: Uint8Array
  /** UDP port of the DHT node, and over IPv6 of direct links. */
  readonly port: number
  /** Whether the sender has no IPv4, so that it is not to be found by the DHT. */
  readonly direct: boolean
  /** 8 bytes each, in no order. */
  readonly tags: readonly Uint8Array[]
  /** IPv4 and IPv6 addresses as the sender names them; where the packet came from says more. */
  readonly addresses: readonly string[]
}

/** @param leaving whether it says goodbye: the records then end with this packet */
export function encodeBeacon({ nonce, port, direct, tags, addresses }: Beacon, leaving = false): Answer[] {
  const label = Buffer.from(nonce).toString('hex')
  const [name, host] = [`${label}.${SERVICE}`, `${label}.local`]
  const [ttl, hostTtl] = leaving ? [0, 0] : [TTL_SECONDS, HOST_TTL_SECONDS]
  const txt = ['v=1', ...(direct ? ['d=1'] : []), ...splitTags(tags).map((part, index) => `t${index}=${part}`)]
  return [
    { name: SERVICE, type: 'PTR', ttl, data: name },
    { name, type: 'SRV', ttl: hostTtl, flush: true, data: { port, target: host, priority: 0, weight: 0 } },
    { name, type: 'TXT', ttl, flush: true, data: txt },
    ...addresses.map((data): Answer => {
      return { name: host, type: isIPv4(data) ? 'A' : 'AAAA', ttl: hostTtl, flush: true, data }
    }),
  ]
}

/** The records of who only asks, for the additional section of its question. Responders look at answers there alone. */
export function encodeAsker(asker: Pick<Beacon, 'nonce' | 'port' | 'tags'>): Answer[] {
  const records = encodeBeacon({ ...asker, direct: false, addresses: [] })
  return records.filter(({ type }) => type !== 'PTR')
}

/** Who asks, as far as a question says so; as unchecked as beacons are. */
export function readAskers({ additionals }: Pick<Packet, 'additionals'>): readonly Beacon[] {
  return readBeacons({ answers: [], additionals })
}

/**
 * The beacons in a response; those that say goodbye and those of other versions are left out.
 *
 * @param packet as decoded, and otherwise unchecked
 */
export function readBeacons({ answers, additionals }: Pick<Packet, 'answers' | 'additionals'>): readonly Beacon[] {
  const records = [...answers, ...additionals].slice(0, BEACON_RECORDS_MAX)
  return records.flatMap((record) => {
    const label = record.type === 'SRV' && record.ttl !== 0 ? INSTANCE.exec(record.name)?.[1] : undefined
    const port = label === undefined ? undefined : portOf(record.data)
    if (label === undefined || port === undefined) return []
    const txt = records.find(({ type, name }) => type === 'TXT' && name === record.name)
    const texts = textsOf(txt?.data)
    if (!texts.includes('v=1')) return []
    const host = `${label}.local`
    const addresses = records.flatMap(({ type, name, data }) => {
      const address = (type === 'A' || type === 'AAAA') && name === host && typeof data === 'string' ? data : ''
      return isIPv4(address) || isIPv6(address) ? [address] : []
    })
    const nonce = Uint8Array.fromHex(label.toLowerCase())
    return [{ nonce, port, direct: texts.includes('d=1'), tags: tagsOf(texts), addresses }]
  })
}

function portOf(data: unknown): number | undefined {
  if (typeof data !== 'object' || data === null || !('port' in data)) return undefined
  const { port } = data
  return typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65535 ? port : undefined
}

/** Base64url of the tags, in parts that fit into one character-string of 255 bytes each. */
function splitTags(tags: readonly Uint8Array[]): string[] {
  const perPart = 16
  const parts: string[] = []
  for (let from = 0; from < tags.length; from += perPart)
    parts.push(Buffer.concat(tags.slice(from, from + perPart)).toString('base64url'))
  return parts
}

/** The character-strings of a TXT record. */
function textsOf(data: unknown): readonly string[] {
  if (!Array.isArray(data)) return []
  return data.slice(0, 16).map((each: unknown) => (each instanceof Uint8Array ? Buffer.from(each).toString() : ''))
}

function tagsOf(texts: readonly string[]): Uint8Array[] {
  const tags: Uint8Array[] = []
  for (const text of texts) {
    const encoded = /^t\d=([A-Za-z0-9_-]*)$/.exec(text)?.[1]
    if (encoded === undefined) continue
    const bytes = Buffer.from(encoded, 'base64url')
    for (let from = 0; from + BEACON_TAG_BYTES <= bytes.byteLength && tags.length < TAGS_MAX; from += BEACON_TAG_BYTES)
      tags.push(Uint8Array.from(bytes.subarray(from, from + BEACON_TAG_BYTES)))
  }
  return tags
}
