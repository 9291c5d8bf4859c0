/**
 * The prepared frames of one catalog in one file that only grows: records of piece, length, checksum and frame.
 *
 * What a kill tore off at its end is cut away when it is opened, and each frame is held against its checksum before it
 * is given, so a damaged one is as good as none. A record without a frame says that this piece is not worth one. Only
 * one process writes; were there a second one, each would miss the frames of the other.
 */
import * as fs from 'node:fs'
import { promisify } from 'node:util'
import { crc32 } from 'node:zlib'
import { PIECE_WIRE_BYTES_MAX, PIECES_MAX } from '../base/limits.ts'
import { giveBack, spareMemory } from '../base/spare-memory.ts'
import { CachedReads } from './cached-reads.ts'

const read = promisify(fs.read)
const writev = promisify(fs.writev)

/** What a file begins with; another version would be another text. */
const HEADER = Buffer.from('holo-peer frames 1\n')
/** piece, length, CRC-32 of the frame, CRC-32 of these twelve bytes; little-endian. */
const RECORD_BYTES = 16

/** What a record says of a frame. */
export interface FrameMark {
  /** 0: the piece is not worth one. */
  readonly bytes: number
  readonly crc: number
}

interface Place extends FrameMark {
  readonly offset: number
}

export class FrameFile {
  /** By piece, the one that counts last: an earlier one is there as long as the file, for who was told of it. */
  readonly #places = new Map<number, readonly Place[]>()
  #bytes: number

  /** The file is made where it lacks. @throws as `node:fs` */
  static open(path: string): FrameFile {
    const { O_RDWR, O_CREAT, O_APPEND, O_NOFOLLOW = 0 } = fs.constants
    const descriptor = fs.openSync(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0o600)
    try {
      return new FrameFile(descriptor, new CachedReads(descriptor, path))
    } catch (error) {
      fs.closeSync(descriptor)
      throw error
    }
  }

  private constructor(
    private readonly descriptor: number,
    private readonly cached: CachedReads,
  ) {
    const head = Buffer.alloc(HEADER.byteLength)
    fs.readSync(descriptor, head, 0, head.byteLength, 0)
    this.#bytes = head.equals(HEADER) ? this.#scan() : this.#begin()
  }

  /** Of the file. */
  get bytes(): number {
    return this.#bytes
  }

  /** Note its use, by which the oldest files are known. @param nowMs wall clock */
  touch(nowMs: number): void {
    fs.futimesSync(this.descriptor, nowMs / 1000, nowMs / 1000)
  }

  /** @returns undefined where nothing is known of the piece */
  markOf(piece: number): FrameMark | undefined {
    return this.#places.get(piece)?.at(-1)
  }

  /** Whether there is a frame with this very mark, also an earlier one. */
  has(piece: number, mark: FrameMark): boolean {
    return this.#placeOf(piece, mark) !== undefined
  }

  /**
   * @param mark undefined: the frame that was made last
   * @returns the frame; `raw` where it is known not to be worth one; undefined where nothing is known, or it is damaged
   * @throws as `node:fs`
   */
  async find(piece: number, mark?: FrameMark): Promise<Uint8Array<ArrayBuffer> | 'raw' | undefined> {
    const place = this.#placeOf(piece, mark)
    if (place === undefined) return undefined
    if (place.bytes === 0) return 'raw'
    const frame = spareMemory(place.bytes)
    const isRead =
      this.cached.read(frame, place.offset) ||
      (await read(this.descriptor, frame, 0, frame.byteLength, place.offset)).bytesRead === frame.byteLength
    if (isRead && crc32(frame) === place.crc) return frame
    giveBack(frame)
    const sound = this.#places.get(piece)?.filter((each) => each !== place) ?? []
    if (sound.length === 0) this.#places.delete(piece)
    else this.#places.set(piece, sound)
    return undefined
  }

  /** Append a record by one write; calls must follow one another. @throws as `node:fs`; then nothing was added */
  async add(piece: number, frame: Uint8Array): Promise<void> {
    const record = Buffer.alloc(RECORD_BYTES)
    const crc = crc32(frame)
    record.writeUInt32LE(piece, 0)
    record.writeUInt32LE(frame.byteLength, 4)
    record.writeUInt32LE(crc, 8)
    record.writeUInt32LE(crc32(record.subarray(0, 12)), 12)
    const bytes = RECORD_BYTES + frame.byteLength
    const { bytesWritten } = await writev(this.descriptor, [record, frame])
    if (bytesWritten !== bytes) {
      // A full disk: half a record would hide what follows it.
      fs.ftruncateSync(this.descriptor, this.#bytes)
      throw Object.assign(new Error('the disk is full'), { code: 'ENOSPC' })
    }
    this.#note(piece, { offset: this.#bytes + RECORD_BYTES, bytes: frame.byteLength, crc })
    this.#bytes += bytes
  }

  close(): void {
    fs.closeSync(this.descriptor)
    this.#places.clear()
  }

  #placeOf(piece: number, mark: FrameMark | undefined): Place | undefined {
    const places = this.#places.get(piece)
    return mark === undefined
      ? places?.at(-1)
      : places?.find(({ bytes, crc }) => bytes === mark.bytes && crc === mark.crc)
  }

  #note(piece: number, place: Place): void {
    this.#places.set(piece, [...(this.#places.get(piece) ?? []), place])
  }

  #begin(): number {
    fs.ftruncateSync(this.descriptor, 0)
    fs.writeSync(this.descriptor, HEADER)
    return HEADER.byteLength
  }

  /** Find the records. @returns where the last whole one ends; what follows is cut away */
  #scan(): number {
    const fileBytes = fs.fstatSync(this.descriptor).size
    const record = Buffer.alloc(RECORD_BYTES)
    let at = HEADER.byteLength
    while (at + RECORD_BYTES <= fileBytes) {
      fs.readSync(this.descriptor, record, 0, RECORD_BYTES, at)
      const piece = record.readUInt32LE(0)
      const bytes = record.readUInt32LE(4)
      const end = at + RECORD_BYTES + bytes
      const sound = record.readUInt32LE(12) === crc32(record.subarray(0, 12))
      if (!sound || piece >= PIECES_MAX || bytes > PIECE_WIRE_BYTES_MAX || end > fileBytes) break
      this.#note(piece, { offset: at + RECORD_BYTES, bytes, crc: record.readUInt32LE(8) })
      at = end
    }
    if (at < fileBytes) fs.ftruncateSync(this.descriptor, at)
    return at
  }
}
