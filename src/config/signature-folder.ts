/**
 * `signatures/` of the state folder: who has signed which catalog, and where this machine has it from.
 *
 * One file a key, the line of JSON that travels too; `origin.json` beside them. It outlives the catalog in the library:
 * the last word of each key is what an older one is held against. What is read was verified when it was written, by this
 * user; whoever decides on it verifies again. Callers hold the trust lock while they write.
 */
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { hostError, systemCodeOf } from '../base/errors.ts'
import { ORIGIN_BYTES_MAX, SIGNATURE_BYTES_MAX, SIGNATURE_KEYS_MAX, SIGNATURES_MAX } from '../base/limits.ts'
import { parseSha256, type Sha256Digest } from '../blob/digest.ts'
import { STATE_DIRECTORY_MODE, type StatePaths } from '../catalog/layout.ts'
import { parseCatalogName } from '../catalog/names.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { CatalogSignature } from '../trust/catalog-signature.ts'
import { keyHex } from '../trust/key-text.ts'
import { decodeSignature, encodeSignature } from '../trust/signature-json.ts'

const FILE_MODE = 0o600
const KEY_FILE = /^[0-9a-f]{64}\.json$/
const ORIGIN_FILE = 'origin.json'

/** Where a catalog of the library has come from. */
export interface CatalogOrigin {
  /** Of the decoded catalog that this is said of. */
  readonly sha256: Sha256Digest
  /** A peer or substituter, as in every error and log line. */
  readonly source: string
  /** Wall clock, milliseconds since 1970: when it was here whole. */
  readonly timeMs: number
}

export class SignatureFolder {
  readonly #directory: string

  constructor(private readonly state: Pick<StatePaths, 'directory' | 'signatures'>) {
    this.#directory = state.signatures
  }

  /**
   * The last word of every key on this name, in the order of keys; damaged files are passed over.
   *
   * @throws {HoloError} blame `host` where the folder cannot be read
   */
  of(name: CatalogName): CatalogSignature[] {
    const signatures: CatalogSignature[] = []
    for (const file of this.#files(name)) {
      const signature = decoded(readBounded(join(this.#directory, name, file), SIGNATURE_BYTES_MAX))
      const fits = signature?.statement.catalog === name && file === fileOf(signature)
      if (signature !== undefined && fits) signatures.push(signature)
    }
    return signatures
  }

  /** Those on this very content: builders first, then the latest. @throws as `of` */
  fitting(name: CatalogName, sha256: Sha256Digest): CatalogSignature[] {
    const fitting = this.of(name).filter(({ statement }) => statement.sha256 === sha256)
    const rank = ({ statement }: CatalogSignature) => (statement.role === 'builder' ? 1 : 0)
    return fitting.sort((left, right) => rank(right) - rank(left) || right.statement.timeMs - left.statement.timeMs)
  }

  /** The same as they travel. @returns at most `SIGNATURES_MAX` lines @throws as `of` */
  linesFor(name: CatalogName, sha256: Sha256Digest): Uint8Array[] {
    return this.fitting(name, sha256).slice(0, SIGNATURES_MAX).map(encodeSignature)
  }

  /**
   * Keep signatures, each in the place of an older one of its key. What a key said later stays, and the same word with
   * other tags is taken.
   *
   * @param believed those that this machine goes by; `strangers` are kept only while there is room for them
   * @throws {HoloError} blame `host`
   */
  keep(believed: readonly CatalogSignature[], strangers: readonly CatalogSignature[] = []): void {
    for (const signature of believed) this.#put(signature, SIGNATURE_KEYS_MAX)
    for (const signature of strangers) this.#put(signature, SIGNATURES_MAX)
  }

  /** @returns undefined where nothing is noted, or of another content only @throws {HoloError} blame `host` */
  originOf(name: CatalogName, sha256: Sha256Digest): CatalogOrigin | undefined {
    const bytes = readBounded(join(this.#directory, name, ORIGIN_FILE), ORIGIN_BYTES_MAX)
    if (bytes === undefined) return undefined
    try {
      const { sha256: noted, source, time } = JSON.parse(new TextDecoder().decode(bytes))
      const timeMs = Date.parse(time)
      const isWhole = parseSha256(noted) !== undefined && typeof source === 'string' && Number.isSafeInteger(timeMs)
      return isWhole && noted === sha256 ? { sha256, source, timeMs } : undefined
    } catch {
      return undefined
    }
  }

  /** @throws {HoloError} blame `host` */
  noteOrigin(name: CatalogName, { sha256, source, timeMs }: CatalogOrigin): void {
    const note = { version: 1, sha256, source: source.slice(0, 300), time: new Date(timeMs).toISOString() }
    this.#write(join(this.#directory, name, ORIGIN_FILE), new TextEncoder().encode(`${JSON.stringify(note)}\n`))
  }

  /** Every name that something is kept for. @throws {HoloError} blame `host` */
  names(): CatalogName[] {
    return list(this.#directory)
      .map(parseCatalogName)
      .filter((name) => name !== undefined)
  }

  #files(name: CatalogName): string[] {
    const files = list(join(this.#directory, name)).filter((file) => KEY_FILE.test(file))
    return files.sort().slice(0, SIGNATURE_KEYS_MAX)
  }

  #put(signature: CatalogSignature, keysMax: number): void {
    const { catalog, serial } = signature.statement
    const path = join(this.#directory, catalog, fileOf(signature))
    const before = decoded(readBounded(path, SIGNATURE_BYTES_MAX))
    if (before !== undefined && before.statement.serial > serial) return
    if (before === undefined && this.#files(catalog).length >= keysMax) return
    this.#write(path, encodeSignature(signature))
  }

  #write(path: string, bytes: Uint8Array): void {
    const temporary = `${path}.${process.pid}`
    try {
      fs.mkdirSync(dirname(this.state.directory), { recursive: true })
      for (const directory of [this.state.directory, this.#directory, dirname(path)]) {
        fs.mkdirSync(directory, { recursive: true, mode: STATE_DIRECTORY_MODE })
      }
      fs.writeFileSync(temporary, bytes, { mode: FILE_MODE })
      fs.renameSync(temporary, path)
    } catch (error) {
      fs.rmSync(temporary, { force: true })
      throw hostError(`write ${path}`, error)
    }
  }
}

function fileOf({ key }: CatalogSignature): string {
  return `${keyHex(key.publicKey)}.json`
}

function decoded(bytes: Uint8Array | undefined): CatalogSignature | undefined {
  return bytes === undefined ? undefined : decodeSignature(bytes)
}

function list(directory: string): string[] {
  try {
    return fs.readdirSync(directory)
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return []
    throw hostError(`list ${directory}`, error)
  }
}

/** @returns undefined where there is no such file, or it is longer than any of ours */
function readBounded(path: string, bytesMax: number): Uint8Array | undefined {
  try {
    return fs.statSync(path).size > bytesMax ? undefined : fs.readFileSync(path)
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined
    throw hostError(`read ${path}`, error)
  }
}
