/**
 * An rccremote server as the reference is, with its mix-up: zips are kept by the list of digests alone, without the
 * catalog's name (formats.md §14). Entries are deflated again, and tell their lengths only behind them, as Go does.
 */
import { crc32, deflateRawSync } from 'node:zlib'
import { parseSha256 } from '../../src/blob/digest.ts'
import { blobEntryName, catalogEntryName } from '../../src/catalog/layout.ts'
import type { MadeEnvironment } from './made-environment.ts'

export interface RccremoteTwin extends Disposable {
  readonly url: URL
  /** How many zips it has made. */
  readonly zips: ReadonlyMap<string, Uint8Array>
}

export function rccremoteTwin(environments: readonly MadeEnvironment[], authorization?: string): RccremoteTwin {
  const zips = new Map<string, Uint8Array<ArrayBuffer>>()
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: async (request) => {
      if (authorization !== undefined && request.headers.get('authorization') !== authorization) {
        return new Response('', { status: 401 })
      }
      const [, kind, name] = new URL(request.url).pathname.split('/')
      const environment = environments.find((each) => each.name === name)
      if (environment === undefined) return new Response('404 not found, sorry', { status: 404 })
      if (kind === 'parts' && request.method === 'GET') {
        const digests = environment.refs.map(({ digest }) => digest).sort()
        return new Response(digests.join('\n'), { headers: { 'content-type': 'text/plain' } })
      }
      if (kind !== 'delta' || request.method !== 'POST') return new Response('', { status: 405 })
      const lines = (await request.text()).split('\n').map((line) => line.trim())
      const approved = lines.filter((line) => environment.refs.some(({ digest }) => digest === line))
      const key = approved.join('\n')
      const zip = zips.get(key) ?? zipOf(environment, approved)
      zips.set(key, zip)
      return new Response(zip, { headers: { 'content-type': 'application/zip' } })
    },
  })
  return { url: server.url, zips, [Symbol.dispose]: () => void server.stop(true) }
}

function zipOf(environment: MadeEnvironment, digests: readonly string[]): Uint8Array<ArrayBuffer> {
  const blobs = digests.flatMap((text) => {
    const digest = parseSha256(text)
    const stored = digest === undefined ? undefined : environment.blobs.stored.get(digest)
    return digest === undefined || stored === undefined ? [] : [[blobEntryName(digest), stored] as const]
  })
  return goZip([...blobs, [catalogEntryName(environment.name), environment.stored]])
}

/** A zip as Go's writer makes it: deflate, a data descriptor behind each entry, the directory at the end. */
export function goZip(entries: readonly (readonly [string, Uint8Array])[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = []
  const directory: Uint8Array[] = []
  let at = 0
  for (const [name, content] of entries) {
    const packed = deflateRawSync(content)
    const nameBytes = Buffer.from(name)
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0)
    common.writeUInt16LE(8, 2)
    common.writeUInt16LE(8, 4)
    common.writeUInt16LE(nameBytes.byteLength, 22)
    const sums = Buffer.alloc(12)
    sums.writeUInt32LE(crc32(content), 0)
    sums.writeUInt32LE(packed.byteLength, 4)
    sums.writeUInt32LE(content.byteLength, 8)
    const local = [Buffer.from('PK\u0003\u0004'), common, nameBytes, packed, Buffer.from('PK\u0007\u0008'), sums]
    parts.push(...local)
    const entry = Buffer.alloc(14)
    entry.writeUInt32LE(at, 10)
    const told = Buffer.from(common)
    told.set(sums, 10)
    directory.push(Buffer.from('PK\u0001\u0002\u0014\u0000'), told, entry, nameBytes)
    at += local.reduce((sum, part) => sum + part.byteLength, 0)
  }
  const end = Buffer.alloc(22)
  end.write('PK\u0005\u0006', 0, 'latin1')
  end.writeUInt16LE(entries.length, 8)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(Buffer.concat(directory).byteLength, 12)
  end.writeUInt32LE(at, 16)
  return Uint8Array.from(Buffer.concat([...parts, ...directory, end]))
}
