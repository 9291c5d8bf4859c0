/**
 * What was prepared for serving, in our state folder: for each catalog a file of frames and the table of its pieces.
 *
 * Bounded: the catalogs that were least recently used go. May be removed at any time. Whatever goes wrong with it costs
 * the time of compressing or hashing again, and is a line in the log, no error. Written by one process, the daemon.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { type Clock, systemClock } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import {
  FRAMES_WAITING_BYTES_MAX,
  PIECE_STORE_BYTES,
  PIECE_STORE_CATALOGS_MAX,
  PIECE_WIRE_BYTES_MAX,
  PIECES_MAX,
  SERVED_CATALOGS_MAX,
} from '../base/limits.ts'
import { roomLogger } from '../base/log.ts'
import { giveBack } from '../base/spare-memory.ts'
import { parseSha256, type Sha256Digest, sha256Of } from '../blob/digest.ts'
import { STATE_DIRECTORY_MODE } from '../catalog/layout.ts'
import { FrameFile, type FrameMark } from './frame-file.ts'
import { removeQuietly } from './library-files.ts'
import { isOwnDirectory, readOwn } from './read-own.ts'
import { sweepTemporaries, temporaryIn } from './temporary.ts'

const log = roomLogger('store')
const DIGEST_BYTES = 32
const FRAMES = '.frames'
const TABLE = '.table'

export interface PieceFolderOptions {
  /** Of all files together. */
  readonly bytesMax?: number
  readonly clock?: Pick<Clock, 'wallMs'>
}

interface OpenFrames {
  readonly file: FrameFile
  /** Frames that are still to be written, so that they can be given meanwhile; empty ones say that raw is as good. */
  readonly waiting: Map<number, Uint8Array>
}

/** The files of one catalog. */
interface KeptCatalog {
  readonly catalog: Sha256Digest
  readonly bytes: number
  readonly usedMs: number
}

export class PieceFolder implements AsyncDisposable {
  readonly #bytesMax: number
  readonly #clock: Pick<Clock, 'wallMs'>
  /** Least recently used first. */
  readonly #open = new Map<Sha256Digest, OpenFrames>()
  /** Bytes of all files; undefined until they were counted. */
  #bytes: number | undefined
  #waitingBytes = 0
  /** The end of what is being written. */
  #last: Promise<void> = Promise.resolve()
  /** Closed, or of no use. */
  #ended = false

  constructor(
    private readonly directory: string,
    { bytesMax = PIECE_STORE_BYTES, clock = systemClock }: PieceFolderOptions = {},
  ) {
    this.#bytesMax = bytesMax
    this.#clock = clock
  }

  /** Whether it is known what to send of this piece. */
  hasFrame(catalog: Sha256Digest, piece: number): boolean {
    const frames = this.#framesOf(catalog)
    return frames !== undefined && (frames.file.markOf(piece) !== undefined || frames.waiting.has(piece))
  }

  /** Lengths and checksums of the frames that there are, by piece. */
  marks(catalog: Sha256Digest, count: number): readonly (FrameMark | undefined)[] {
    const frames = this.#framesOf(catalog)
    return Array.from({ length: count }, (_, piece) => {
      const waiting = frames?.waiting.get(piece)
      return waiting === undefined ? frames?.file.markOf(piece) : { bytes: waiting.byteLength, crc: crc32(waiting) }
    })
  }

  /** Whether this very frame is to be had, also where another one has taken its place. */
  hasMark(catalog: Sha256Digest, piece: number, mark: FrameMark): boolean {
    const frames = this.#framesOf(catalog)
    return frames !== undefined && (frames.file.has(piece, mark) || isMarked(frames.waiting.get(piece), mark))
  }

  /**
   * @param mark undefined: the frame that was made last
   * @returns the caller's own; `raw` where the piece is not worth a frame; undefined where none was prepared
   */
  async frame(catalog: Sha256Digest, piece: number, mark?: FrameMark): Promise<Uint8Array | 'raw' | undefined> {
    const frames = this.#framesOf(catalog)
    const waiting = frames?.waiting.get(piece)
    if (waiting !== undefined && (mark === undefined || isMarked(waiting, mark)))
      return waiting.byteLength === 0 ? 'raw' : waiting.slice()
    try {
      return await frames?.file.find(piece, mark)
    } catch (error) {
      log.warning`a prepared piece could not be read: ${messageOf(error)}`
      return undefined
    }
  }

  /**
   * Keep a frame or, where it is empty, that the piece is not worth one. Returns at once.
   *
   * @param frame the folder's from now on
   * @param replace also where there is one
   */
  keep(catalog: Sha256Digest, piece: number, frame: Uint8Array, { replace = false } = {}): void {
    const tooMuch = this.#waitingBytes + frame.byteLength > FRAMES_WAITING_BYTES_MAX
    if (frame.byteLength > PIECE_WIRE_BYTES_MAX || tooMuch) return
    const frames = this.#framesOf(catalog)
    if (frames === undefined || frames.waiting.has(piece) || (frames.file.markOf(piece) !== undefined && !replace))
      return
    const { byteLength } = frame
    frames.waiting.set(piece, frame)
    this.#waitingBytes += byteLength
    this.#last = this.#last
      .then(() => this.#write(catalog, frames, piece, frame))
      .catch((error) => log.warning`a prepared piece was not kept: ${messageOf(error)}`)
      .then(() => {
        frames.waiting.delete(piece)
        this.#waitingBytes -= byteLength
        giveBack(frame)
      })
  }

  /** @param count of the catalog's pieces @returns undefined where there is none, or it is damaged */
  table(catalog: Sha256Digest, count: number): Uint8Array | undefined {
    const stored = readOwn(this.#pathOf(catalog, TABLE), DIGEST_BYTES * (PIECES_MAX + 1))
    if (stored?.byteLength !== DIGEST_BYTES * (count + 1)) return undefined
    const table = new Uint8Array(stored.subarray(0, DIGEST_BYTES * count))
    const sum = Buffer.from(stored.subarray(DIGEST_BYTES * count)).toString('hex')
    return sha256Of(table) === sum ? table : undefined
  }

  keepTable(catalog: Sha256Digest, table: Uint8Array): void {
    if (this.#ended) return
    const temporary = temporaryIn(this.directory)
    try {
      this.#ensureDirectory()
      this.#makeRoom(catalog, table.byteLength)
      fs.writeFileSync(temporary, Buffer.concat([table, Buffer.from(sha256Of(table), 'hex')]), { mode: 0o600 })
      fs.renameSync(temporary, this.#pathOf(catalog, TABLE))
    } catch (error) {
      removeQuietly(temporary)
      log.warning`the table of a catalog's pieces was not kept: ${messageOf(error)}`
    }
  }

  /** Wait until what was to be kept is written, and close the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true
    await this.#last
    for (const { file } of this.#open.values()) file.close()
    this.#open.clear()
  }

  #framesOf(catalog: Sha256Digest): OpenFrames | undefined {
    if (this.#ended) return undefined
    let frames = this.#open.get(catalog)
    this.#open.delete(catalog)
    try {
      frames ??= this.#opened(catalog)
    } catch (error) {
      this.#ended = true
      log.warning`no pieces are prepared, since ${this.directory} cannot be used: ${messageOf(error)}`
      return undefined
    }
    this.#open.set(catalog, frames)
    return frames
  }

  #opened(catalog: Sha256Digest): OpenFrames {
    this.#ensureDirectory()
    for (const [oldest, { file, waiting }] of this.#open) {
      if (this.#open.size < SERVED_CATALOGS_MAX) break
      if (waiting.size > 0) continue
      file.close()
      this.#open.delete(oldest)
    }
    const file = FrameFile.open(this.#pathOf(catalog, FRAMES))
    file.touch(this.#clock.wallMs())
    return { file, waiting: new Map() }
  }

  async #write(catalog: Sha256Digest, { file }: OpenFrames, piece: number, frame: Uint8Array): Promise<void> {
    const before = file.bytes
    if (!this.#makeRoom(catalog, frame.byteLength)) return
    await file.add(piece, frame)
    this.#bytes = (this.#bytes ?? 0) + file.bytes - before
  }

  /** Remove what was not used for longest until `bytes` more fit. @returns whether they do */
  #makeRoom(catalog: Sha256Digest, bytes: number): boolean {
    const counted = this.#bytes
    if (counted !== undefined && counted + bytes <= this.#bytesMax) return true
    const kept = this.#kept()
    let left = kept.reduce((sum, each) => sum + each.bytes, 0)
    let count = kept.length
    for (const old of kept) {
      if (left + bytes <= this.#bytesMax && count <= PIECE_STORE_CATALOGS_MAX) break
      if (old.catalog === catalog || !this.#remove(old.catalog)) continue
      left -= old.bytes
      count--
    }
    this.#bytes = left
    return left + bytes <= this.#bytesMax
  }

  /** Least recently used first; those that are open were used last. */
  #kept(): KeptCatalog[] {
    sweepTemporaries(this.directory, this.#clock.wallMs())
    const order = [...this.#open.keys()]
    const kept = new Map<Sha256Digest, KeptCatalog>()
    for (const name of fs.readdirSync(this.directory)) {
      const catalog = parseSha256(name.slice(0, name.indexOf('.')))
      const status = fs.lstatSync(join(this.directory, name), { throwIfNoEntry: false })
      if (catalog === undefined || status === undefined) continue
      const other = kept.get(catalog)
      kept.set(catalog, {
        catalog,
        bytes: status.size + (other?.bytes ?? 0),
        usedMs: Math.max(status.mtimeMs, other?.usedMs ?? 0),
      })
    }
    const placeOf = ({ catalog }: KeptCatalog) => order.indexOf(catalog)
    return [...kept.values()].sort((left, right) => placeOf(left) - placeOf(right) || left.usedMs - right.usedMs)
  }

  /** @returns false where it is being written to */
  #remove(catalog: Sha256Digest): boolean {
    const open = this.#open.get(catalog)
    if (open !== undefined && open.waiting.size > 0) return false
    open?.file.close()
    this.#open.delete(catalog)
    for (const kind of [FRAMES, TABLE] as const) fs.rmSync(this.#pathOf(catalog, kind), { force: true })
    return true
  }

  #pathOf(catalog: Sha256Digest, kind: typeof FRAMES | typeof TABLE): string {
    return join(this.directory, `${catalog}${kind}`)
  }

  #ensureDirectory(): void {
    fs.mkdirSync(this.directory, { recursive: true, mode: STATE_DIRECTORY_MODE })
    // Who could write there could have us send what gets us banned.
    if (!isOwnDirectory(this.directory)) throw new Error('others than this user can write there')
  }
}

function isMarked(frame: Uint8Array | undefined, { bytes, crc }: FrameMark): boolean {
  return frame?.byteLength === bytes && crc32(frame) === crc
}
