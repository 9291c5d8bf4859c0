/** rcc's door in front of a library, as the daemon opens it, and sockets that say to it exactly what a test wants. */
import * as fs from 'node:fs'
import { connect } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { unzipSync } from 'fflate'
import { LibraryBehindDoor } from '../../src/app/door-library.ts'
import { ServedCatalogs } from '../../src/app/served-catalogs.ts'
import { type Clock, never, systemClock } from '../../src/base/clock.ts'
import { parseDigest } from '../../src/blob/digest.ts'
import { blobEntryName, catalogPath, statePaths } from '../../src/catalog/layout.ts'
import type { CatalogName } from '../../src/catalog/tree.ts'
import { SignatureFolder } from '../../src/config/signature-folder.ts'
import type { DoorAccess } from '../../src/door/access.ts'
import type { ConnectionBounds } from '../../src/door/connections.ts'
import { rccremoteRoutes } from '../../src/door/rccremote.ts'
import { type Door, serveDoor } from '../../src/door/serve-door.ts'
import { staticTreeRoutes } from '../../src/door/static-tree.ts'
import { wantRoute } from '../../src/door/want.ts'
import { Library } from '../../src/store/library.ts'
import { LibraryPieces, type LibraryPiecesOptions } from '../../src/store/served-pieces.ts'
import { rootsIn } from './golden.ts'
import type { MadeEnvironment } from './made-environment.ts'

export interface OpenDoorOptions {
  readonly address?: string
  /** Any that is free, where there is none. */
  readonly port?: number
  readonly access?: Partial<DoorAccess>
  readonly bounds?: ConnectionBounds
  /** What the fleet does; by default nobody has anything. */
  readonly bring?: (name: CatalogName) => Promise<void>
  readonly clock?: Pick<Clock, 'nowMs'>
  /** Of the store of prepared pieces. */
  readonly pieces?: LibraryPiecesOptions
}

/** With what the daemon makes ready for it. */
export interface OpenedDoor extends Door {
  readonly pieces: LibraryPieces
}

/** The identity that the door takes for its own. */
export const DOOR_IDENTITY = '0123456789abcdef'

/** @returns a door whose port is free, once it knows what the library holds */
export async function doorOf(library: Library, options: OpenDoorOptions = {}): Promise<OpenedDoor> {
  const { address = 'localhost', port = 0, access = {}, bounds, bring = async () => {} } = options
  const served = new ServedCatalogs(library, new SignatureFolder(statePaths(library.roots)))
  const looked = Promise.withResolvers<void>()
  const ended = new AbortController()
  const following = served.follow(looked.resolve, ended.signal)
  await looked.promise
  const pieces = new LibraryPieces(library, served, options.pieces)
  const behind = new LibraryBehindDoor({ library, served, pieces, bring, ended: ended.signal })
  const stop = async () => {
    ended.abort()
    await pieces[Symbol.asyncDispose]()
    await following
  }
  const door = await serveDoor({
    address,
    port,
    access: { token: undefined, open: false, ...access },
    routes: [
      rccremoteRoutes(behind, DOOR_IDENTITY),
      staticTreeRoutes(behind, options.clock ?? systemClock),
      wantRoute(behind),
    ],
    ...(bounds === undefined ? {} : { bounds }),
  }).catch(async (error: unknown) => {
    await stop()
    throw error
  })
  return {
    ...door,
    pieces,
    [Symbol.asyncDispose]: async () => {
      await door[Symbol.asyncDispose]()
      await stop()
    },
  }
}

/**
 * Send bytes as they are, and read until the other side closes.
 *
 * @param bytes in the pieces in which they go out
 */
export function exchange(port: number, ...bytes: (string | Uint8Array)[]): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>()
  const answer: Buffer[] = []
  const socket = connect(port, '127.0.0.1', () => {
    for (const piece of bytes) socket.write(piece)
  })
  socket.on('data', (chunk) => answer.push(Buffer.from(chunk)))
  // A hard close is one way to be turned away.
  socket.on('error', () => {})
  socket.on('close', () => resolve(Buffer.concat(answer)))
  return promise
}

/** A request that closes its connection, so that `exchange` ends. */
export function request(line: string, headers: readonly string[] = [], body: string | Uint8Array = ''): Buffer {
  const length = body.length === 0 ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]
  const head = [`${line} HTTP/1.1`, 'Host: localhost', 'Connection: close', ...length, ...headers, '', '']
  return Buffer.concat([Buffer.from(head.join('\r\n')), Buffer.from(body)])
}

export interface Heard {
  /** 0 where the connection was closed without an answer. */
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** The one answer in `bytes`. */
export function heard(bytes: Buffer): Heard {
  const end = bytes.indexOf('\r\n\r\n')
  const [first = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
  )
  const body = bytes.subarray(end + 4)
  return { status: Number(first.split(' ')[1]) || 0, headers, body }
}

/** A library that holds `environment` whole, its blobs raw. */
export async function libraryOf(home: string, { name, stored, refs, blobs }: MadeEnvironment): Promise<Library> {
  const roots = rootsIn(home)
  const library = new Library(roots)
  for (const ref of refs) {
    const bytes = [blobs.find(ref.digest)?.whole(ref.sizeBytes) ?? Buffer.of()]
    await library.put(ref, { source: 'the test', encoding: 'identity', bytes: Readable.from(bytes) }, never)
  }
  fs.mkdirSync(dirname(catalogPath(roots, name)), { recursive: true })
  fs.writeFileSync(catalogPath(roots, name), stored)
  return library
}

/**
 * The library that golden/protocol was recorded from, as far as the recordings tell: their catalogs and blobs, and
 * stand-ins in the place of blobs that no recording contains. Nobody verifies what a door sends.
 */
export function recordedLibrary(home: string): Library {
  const roots = rootsIn(home)
  const place = (name: string, bytes: Uint8Array) => {
    const path = join(roots.hololib, name)
    fs.mkdirSync(dirname(path), { recursive: true })
    fs.writeFileSync(path, bytes)
  }
  for (const parts of ['parts-v1.txt', 'parts-v2.txt']) {
    for (const digest of recordedFile(parts).toString().split('\n').map(parseDigest)) {
      if (digest !== undefined) place(blobEntryName(digest), Buffer.from(`stands for ${digest}`))
    }
  }
  for (const zip of ['delta-v1-to-v2.zip', 'delta-mixed.zip']) {
    for (const [name, bytes] of Object.entries(unzipSync(recordedFile(zip)))) place(name, bytes)
  }
  return new Library(roots)
}

/** A file of golden/protocol. */
export function recordedFile(name: string): Buffer {
  return fs.readFileSync(resolve(import.meta.dir, '../golden/protocol', name))
}
