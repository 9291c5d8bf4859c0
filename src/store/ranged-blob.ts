/**
 * One large blob that arrives in ranges, in any order and from several sources, and comes to rest when it is whole and
 * right.
 *
 * Its digest is the only judge. A table of the ranges' hashes, where there is one, tells early which ranges may be
 * passed on; a range that differs from it is kept all the same, since the table may be the one that lies. Where the
 * whole is wrong, what each source gave is remembered by its hash, and once the whole is right those are named whose
 * ranges differed. So no honest source is ever named, whoever else lies. Works on one thread, piece by piece.
 */
import * as fs from 'node:fs'
import { type HoloError, hostError } from '../base/errors.ts'
import { PIECE_BYTES, RANGE_ATTEMPTS_MAX } from '../base/limits.ts'
import { giveBack, spareMemory } from '../base/spare-memory.ts'
import { type Sha256Digest, sha256Hasher, sha256Of } from '../blob/digest.ts'
import type { BlobRef } from '../blob/source.ts'
import { corrupt } from './ingest.ts'
import type { LibraryFiles } from './library-files.ts'
import { removeQuietly } from './library-files.ts'
import { temporaryIn } from './temporary.ts'

/** The expected hash of a range, from the table; undefined where there is no table. */
export type RangeTable = ((range: number) => Sha256Digest) | undefined

interface HeldRange {
  readonly source: string
  /** As far as it was needed. */
  hash: Sha256Digest | undefined
  /** It is what the table says. */
  proved: boolean
}

/** What a source gave in an attempt at the whole that proved wrong. */
interface Claim {
  readonly range: number
  readonly source: string
  readonly hash: Sha256Digest
}

export type RangeOutcome =
  | { readonly kind: 'held' }
  /** It is what the table says. `same`: and so are the bytes that came now, which may be another copy. */
  | { readonly kind: 'proved'; readonly same: boolean }
  /** All ranges are here, and make the blob: the file can be given its name. */
  | {
      readonly kind: 'whole'
      /** Ranges that nothing proved before, the present one among them. */
      readonly proved: readonly number[]
      readonly liars: ReadonlyMap<string, HoloError>
      /** The table tells another hash of a right range. */
      readonly tableWrong: boolean
    }
  | {
      readonly kind: 'wrong'
      /** Ranges that are to come again; they are forgotten. */
      readonly again: readonly number[]
      readonly sources: readonly string[]
      readonly liars: ReadonlyMap<string, HoloError>
      readonly tableWrong: boolean
    }

export class RangedBlob implements Disposable {
  readonly temporary: string
  readonly #ranges: (HeldRange | undefined)[]
  #present = 0
  #hasher = sha256Hasher()
  /** Ranges that the hasher has seen. */
  #hashed = 0
  readonly #claims: Claim[] = []
  /** What differed from the table was fetched anew, in the hope that the rest is right. */
  #partlyAgain = false
  /** And the whole was wrong still: the table helps this blob no more. */
  #tableTried = false

  /** @throws {HoloError} blame `host` */
  constructor(
    readonly ref: BlobRef,
    files: LibraryFiles,
    temporaries: string,
  ) {
    this.#ranges = new Array(Math.ceil(ref.sizeBytes / PIECE_BYTES)).fill(undefined)
    this.temporary = temporaryIn(temporaries)
    const descriptor = files.create(this.temporary)
    try {
      fs.ftruncateSync(descriptor, ref.sizeBytes)
    } catch (error) {
      removeQuietly(this.temporary)
      throw hostError(`write ${this.temporary}`, error)
    } finally {
      fs.closeSync(descriptor)
    }
  }

  /**
   * Open the file for `work`: hundreds of blobs may be unfinished at once, too many to keep each of them open.
   *
   * @throws {HoloError} blame `host`; whatever `work` throws
   */
  async opened<Result>(work: (descriptor: number) => Result | Promise<Result>): Promise<Result> {
    const descriptor = this.#open()
    try {
      return await work(descriptor)
    } finally {
      fs.closeSync(descriptor)
    }
  }

  /**
   * Put one range to rest. One that is here already is left as it is, unless the table says that the new one is right.
   *
   * @param content exactly the bytes of that range
   * @throws {HoloError} blame `host`
   */
  put(range: number, content: Uint8Array, source: string, table: RangeTable): RangeOutcome {
    const trusted = this.#tableTried ? undefined : table
    const hash = trusted === undefined ? undefined : sha256Of(content)
    const proved = trusted !== undefined && hash === trusted(range)
    const held = this.#ranges[range]
    if (held?.proved === true) return { kind: 'proved', same: proved }
    if (held !== undefined && !proved) return { kind: 'held' }
    if (held !== undefined) this.#replaced(range, held)
    this.#write(range, content)
    this.#ranges[range] = { source, hash, proved }
    this.#present++
    this.#advance(range, content)
    if (this.#present < this.#ranges.length) return proved ? { kind: 'proved', same: true } : { kind: 'held' }
    const actual = this.#hasher.digest()
    return actual === this.ref.digest ? this.#whole(table) : this.#wrong(trusted, actual)
  }

  /**
   * Hold all ranges that are here against another table, or none.
   *
   * @returns those that it proves
   */
  judge(table: RangeTable): number[] {
    const proved: number[] = []
    for (const [range, held] of this.#ranges.entries()) {
      if (held === undefined) continue
      held.proved = !this.#tableTried && table !== undefined && this.#hashOf(range, held) === table(range)
      if (held.proved) proved.push(range)
    }
    return proved
  }

  [Symbol.dispose](): void {
    removeQuietly(this.temporary)
  }

  #open(): number {
    try {
      return fs.openSync(this.temporary, 'r+')
    } catch (error) {
      throw hostError(`open ${this.temporary}`, error)
    }
  }

  #whole(table: RangeTable): RangeOutcome {
    const liars = new Map<string, HoloError>()
    for (const { range, source, hash } of this.#claims) {
      const held = this.#ranges[range]
      if (held !== undefined && this.#hashOf(range, held) !== hash) liars.set(source, this.#lie(source, range))
    }
    const tableWrong =
      table !== undefined &&
      this.#ranges.some((held, range) => held !== undefined && this.#hashOf(range, held) !== table(range))
    return { kind: 'whole', proved: this.#unproved(), liars, tableWrong }
  }

  #unproved(): number[] {
    return this.#ranges.flatMap((held, range) => (held === undefined || held.proved ? [] : [range]))
  }

  #wrong(table: RangeTable, actual: string): RangeOutcome {
    const claims = this.#ranges.flatMap((held, range): Claim[] =>
      held === undefined ? [] : [{ range, source: held.source, hash: this.#hashOf(range, held) }],
    )
    this.#remember(claims)
    const sources = [...new Set(claims.map(({ source }) => source))]
    const liars = new Map<string, HoloError>()
    // All of it came from one hand: no proof is missing.
    const [only] = sources
    if (sources.length === 1 && only !== undefined) {
      liars.set(only, corrupt(this.ref, { source: only }, `its SHA-256 is ${actual}`))
    }
    const differing = this.#unproved()
    // What an honest table proves makes the blob.
    const tableWrong = table !== undefined && differing.length === 0
    const partly = table !== undefined && !tableWrong && !this.#partlyAgain
    const again = partly ? differing : [...this.#ranges.keys()]
    if (table !== undefined && !partly) this.#tableTried = true
    this.#partlyAgain ||= partly
    for (const range of again) this.#ranges[range] = undefined
    this.#present = this.#ranges.length - again.length
    this.#restartHash()
    return { kind: 'wrong', again, sources, liars, tableWrong }
  }

  /** A range that differs from the table makes room for one that does not; what it was counts as a claim. */
  #replaced(range: number, held: HeldRange): void {
    this.#remember([{ range, source: held.source, hash: this.#hashOf(range, held) }])
    this.#ranges[range] = undefined
    this.#present--
    if (range < this.#hashed) this.#restartHash()
  }

  #remember(claims: Claim[]): void {
    for (const claim of claims) this.#claims.push(claim)
    this.#claims.splice(0, Math.max(0, this.#claims.length - RANGE_ATTEMPTS_MAX * this.#ranges.length))
  }

  #restartHash(): void {
    this.#hasher = sha256Hasher()
    this.#hashed = 0
  }

  /** Hash what follows in order; all but the present range is read back. */
  #advance(range: number, content: Uint8Array): void {
    for (; this.#ranges[this.#hashed] !== undefined; this.#hashed++) {
      if (this.#hashed === range) this.#hasher.update(content)
      else this.#lookAt(this.#hashed, (held) => this.#hasher.update(held))
    }
  }

  #hashOf(range: number, held: HeldRange): Sha256Digest {
    held.hash ??= this.#lookAt(range, sha256Of)
    return held.hash
  }

  #bytesOf(range: number): number {
    return Math.min(PIECE_BYTES, this.ref.sizeBytes - range * PIECE_BYTES)
  }

  /** Read a range back for `look`, which keeps nothing of it. */
  #lookAt<Result>(range: number, look: (content: Uint8Array) => Result): Result {
    const content = spareMemory(this.#bytesOf(range))
    const descriptor = this.#open()
    try {
      for (let at = 0; at < content.byteLength; ) {
        const count = fs.readSync(descriptor, content, at, content.byteLength - at, range * PIECE_BYTES + at)
        if (count === 0) throw new Error('it has become shorter')
        at += count
      }
    } catch (error) {
      throw hostError(`read ${this.temporary}`, error)
    } finally {
      fs.closeSync(descriptor)
    }
    const result = look(content)
    giveBack(content)
    return result
  }

  #write(range: number, content: Uint8Array): void {
    const descriptor = this.#open()
    try {
      for (let at = 0; at < content.byteLength; ) {
        at += fs.writeSync(descriptor, content, at, content.byteLength - at, range * PIECE_BYTES + at)
      }
    } catch (error) {
      throw hostError(`write ${this.temporary}`, error)
    } finally {
      fs.closeSync(descriptor)
    }
  }

  #lie(source: string, range: number): HoloError {
    const from = range * PIECE_BYTES
    return corrupt(this.ref, { source }, `its bytes ${from} to ${from + this.#bytesOf(range) - 1} differ`)
  }
}
