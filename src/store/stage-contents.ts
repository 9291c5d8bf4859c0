/**
 * The files of a stage, read once each: hashed, searched for the stage's name, and stored where the library lacks them.
 *
 * A file that changes while it is read ends the recording; a wrong blob cannot come of it, since a small file is stored
 * from the very bytes that were hashed, and a large one is hashed again while it is stored. Memory: one file of up to
 * `BLOB_WHOLE_BYTES_MAX`, or some chunks of a larger one. One file at a time, since hashing keeps a processor busy.
 */
import * as fs from 'node:fs'
import { nextTurn } from '../base/clock.ts'
import { HoloError, hostError, systemCodeOf } from '../base/errors.ts'
import {
  BLOB_WHOLE_BYTES_MAX,
  CATALOG_REWRITES_MAX,
  CHUNK_BYTES,
  RECORD_BYTES_PER_TURN,
  RECORD_FILES_PER_TURN,
  REWRITES_PER_FILE_MAX,
} from '../base/limits.ts'
import { type Hasher, sha256Hasher } from '../blob/digest.ts'
import type { BlobStream } from '../blob/source.ts'
import { Locator } from '../catalog/locator.ts'
import type { RecordedContent, StageDirectory, StageFile } from '../catalog/recorded-catalog.ts'
import { sip128Hasher } from '../catalog/siphash.ts'
import type { Library } from './library.ts'
import { stageChanged } from './stage-walk.ts'

/** What a recording did to the library. */
export interface StoredBlobCounts {
  /** Distinct blobs that it lacked. */
  added: number
  /** Bytes of those at rest. */
  addedBytes: number
  /** Distinct blobs that were there already, and were left as they were. */
  present: number
}

export interface StageContents {
  /** By `StageFile.realPath`. */
  readonly contents: ReadonlyMap<string, RecordedContent>
  readonly blobs: StoredBlobCounts
}

/**
 * Read every file of `stage`, those behind links included, and see that `library` has its content.
 *
 * @param identity the stage's name
 * @throws {HoloError} blame `host`: a file changed or cannot be read, code `stage-changed` …, or the library cannot be
 *   written; blame `input`, code `stage-too-large`: more relocations than a catalog may have
 * @throws `signal.reason`, unwrapped, once `signal` aborts
 */
export async function storeContents(
  stage: StageDirectory,
  library: Library,
  identity: string,
  signal: AbortSignal,
): Promise<StageContents> {
  const newHasher = library.digestKind() === 'sha-256' ? sha256Hasher : sip128Hasher
  const recorder = new ContentRecorder(library, identity, newHasher, signal)
  let relocations = 0
  for (const file of filesOf(stage)) {
    relocations += (await recorder.record(file)).rewrite.length
    if (relocations > CATALOG_REWRITES_MAX) throw tooManyRelocations(file.realPath, CATALOG_REWRITES_MAX)
  }
  return { contents: recorder.contents, blobs: recorder.blobs }
}

/** Every file below `stage`, as often as links lead to it. */
function* filesOf(stage: StageDirectory): Generator<StageFile> {
  yield* stage.files
  for (const below of stage.subdirs) yield* filesOf(below)
}

/** An open file of the stage, as it was when the walk came to it. */
interface OpenFile {
  readonly path: string
  readonly descriptor: number
  readonly sizeBytes: number
}

class ContentRecorder {
  readonly contents = new Map<string, RecordedContent>()
  readonly blobs: StoredBlobCounts = { added: 0, addedBytes: 0, present: 0 }
  readonly #seen = new Set<string>()
  /** For every read but those of `chunksOf`: a file is stored before the next one is read. */
  readonly #buffer = new Uint8Array(BLOB_WHOLE_BYTES_MAX)
  #filesSinceTurn = 0
  #bytesSinceTurn = 0

  constructor(
    private readonly library: Library,
    private readonly identity: string,
    private readonly newHasher: () => Hasher,
    private readonly signal: AbortSignal,
  ) {}

  async record({ realPath: path, sizeBytes }: StageFile): Promise<RecordedContent> {
    const known = this.contents.get(path)
    if (known !== undefined) return known
    await this.#turn(0)
    const descriptor = openFile(path)
    try {
      const before = fs.fstatSync(descriptor)
      if (!before.isFile() || before.size !== sizeBytes) throw stageChanged(path, 'changed')
      const file = { path, descriptor, sizeBytes }
      const whole = sizeBytes <= BLOB_WHOLE_BYTES_MAX ? this.#fill(file, 0, sizeBytes) : undefined
      const content = await this.#read(file, whole)
      const after = fs.fstatSync(descriptor)
      const sameTimes = after.mtimeMs === before.mtimeMs && after.ctimeMs === before.ctimeMs
      if (after.size !== sizeBytes || !sameTimes) throw stageChanged(path, 'changed')
      if (!this.#seen.has(content.digest)) await this.#store(content, file, whole)
      this.contents.set(path, content)
      return content
    } finally {
      fs.closeSync(descriptor)
    }
  }

  async #read(file: OpenFile, whole: Uint8Array | undefined): Promise<RecordedContent> {
    const hasher = this.newHasher()
    const locator = new Locator(this.identity)
    for (let at = 0; at < file.sizeBytes; ) {
      const chunk = whole ?? this.#fill(file, at, Math.min(CHUNK_BYTES, file.sizeBytes - at))
      hasher.update(chunk)
      locator.update(chunk)
      if (locator.offsets.length > REWRITES_PER_FILE_MAX) throw tooManyRelocations(file.path, REWRITES_PER_FILE_MAX)
      at += chunk.byteLength
      await this.#turn(chunk.byteLength)
    }
    return { digest: hasher.digest(), sizeBytes: file.sizeBytes, rewrite: locator.offsets }
  }

  async #store({ digest, sizeBytes }: RecordedContent, file: OpenFile, whole: Uint8Array | undefined): Promise<void> {
    const bytes = whole === undefined ? chunksOf(file) : once(whole)
    const stream: BlobStream = { source: file.path, encoding: 'identity', bytes }
    let addedBytes: number | undefined
    try {
      addedBytes = await this.library.record({ digest, sizeBytes }, stream, this.signal)
    } catch (error) {
      if (error instanceof HoloError && error.code === 'blob-corrupt') throw stageChanged(file.path, 'changed')
      throw error
    }
    this.#seen.add(digest)
    if (addedBytes === undefined) this.blobs.present++
    else {
      this.blobs.added++
      this.blobs.addedBytes += addedBytes
    }
  }

  #fill(file: OpenFile, position: number, length: number): Uint8Array {
    const bytes = this.#buffer.subarray(0, length)
    readAt(file, position, bytes)
    return bytes
  }

  /** All reading is synchronous: signals and timers get their turn here. */
  async #turn(bytes: number): Promise<void> {
    this.#bytesSinceTurn += bytes
    if (bytes === 0) this.#filesSinceTurn++
    if (this.#filesSinceTurn < RECORD_FILES_PER_TURN && this.#bytesSinceTurn < RECORD_BYTES_PER_TURN) return
    this.#filesSinceTurn = 0
    this.#bytesSinceTurn = 0
    await nextTurn()
    this.signal.throwIfAborted()
  }
}

/** Non-blocking, and no link: something else may have been put at the place since the walk. */
function openFile(path: string): number {
  try {
    return fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK)
  } catch (error) {
    const systemCode = systemCodeOf(error)
    if (systemCode === 'ENOENT' || systemCode === 'ENOTDIR') throw stageChanged(path, 'vanished')
    if (systemCode === 'ELOOP' || systemCode === 'ENXIO') throw stageChanged(path, 'changed')
    throw hostError(`read ${path}`, error)
  }
}

/** Fill `bytes` with what stands from `position` on. */
function readAt({ path, descriptor }: OpenFile, position: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.byteLength; ) {
    let count: number
    try {
      count = fs.readSync(descriptor, bytes, at, bytes.byteLength - at, position + at)
    } catch (error) {
      throw hostError(`read ${path}`, error)
    }
    if (count === 0) throw stageChanged(path, 'changed')
    at += count
  }
}

/** Fresh chunks: an encoder may keep one while it asks for the next. */
async function* chunksOf(file: OpenFile): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < file.sizeBytes; at += CHUNK_BYTES) {
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, file.sizeBytes - at))
    readAt(file, at, chunk)
    yield chunk
    await nextTurn()
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.byteLength > 0) yield bytes
}

function tooManyRelocations(path: string, most: number): HoloError {
  return new HoloError(`${path} brings the relocations to more than ${most}`, {
    code: 'stage-too-large',
    blame: 'input',
    hint: 'take out the file; logs of a build often repeat its path',
  })
}
