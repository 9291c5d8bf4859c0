/** A daemon's word for what it holds, on the small golden library, in this process. */
import { describe, expect, spyOn, test } from 'bun:test'
import { rmSync } from 'node:fs'
import { HolderSigner } from '../../src/app/holder-signer.ts'
import { machineKey, revokeKeyHere } from '../../src/app/keys.ts'
import { type Machine, machineWith } from '../../src/app/machine.ts'
import { ServedCatalogs } from '../../src/app/served-catalogs.ts'
import { sign } from '../../src/app/sign.ts'
import { never, nextTurn } from '../../src/base/clock.ts'
import { sha256Of } from '../../src/blob/digest.ts'
import { blobPath } from '../../src/catalog/layout.ts'
import type { CatalogName } from '../../src/catalog/tree.ts'
import { distinctBlobs } from '../../src/catalog/walk.ts'
import { SignatureFolder } from '../../src/config/signature-folder.ts'
import { joinFleet } from '../../src/config/state.ts'
import { hashPieces } from '../../src/store/hash-pieces.ts'
import { Library } from '../../src/store/library.ts'
import { LibraryPieces } from '../../src/store/served-pieces.ts'
import { createFleet } from '../../src/trust/fleet.ts'
import { smallCold, TemporaryDirectory, unpackSmall } from '../support/golden.ts'

const [one, two] = [smallCold('gzip', 1).name, smallCold('gzip', 2).name]

/** A signer at work on a library, and its end. */
class Working implements AsyncDisposable {
  readonly #stop = new AbortController()
  readonly machine: Machine
  readonly folder: SignatureFolder
  readonly signer: HolderSigner
  readonly #library: Library
  readonly #served: ServedCatalogs
  readonly pieces: LibraryPieces
  #over: Promise<unknown> = Promise.resolve()

  constructor(home: TemporaryDirectory) {
    this.machine = machineWith(unpackSmall('gzip', home.path))
    this.folder = new SignatureFolder(this.machine.state)
    this.#library = new Library(this.machine.roots)
    this.#served = new ServedCatalogs(this.#library, this.folder)
    this.pieces = new LibraryPieces(this.#library, this.#served)
    this.signer = new HolderSigner(this.machine, this.#library, this.#served, { pieces: this.pieces })
  }

  get library(): Library {
    return this.#library
  }

  async start(): Promise<void> {
    const looked = Promise.withResolvers<void>()
    const { signal } = this.#stop
    this.#over = Promise.all([this.#served.follow(looked.resolve, signal), this.signer.run(signal)])
    await looked.promise
  }

  /** See to all that is held, once. */
  async look(): Promise<void> {
    const looked = Promise.withResolvers<void>()
    const { signal } = this.#stop
    this.#over = this.#served.follow(looked.resolve, signal)
    await looked.promise
    await this.signer.look(signal)
  }

  /** `<name> <role>` of those who have signed `name`, once they are so many. */
  async signers(name: CatalogName, count: number, ready: () => boolean = () => true): Promise<string[]> {
    for (;;) {
      const found = this.folder.of(name)
      if (found.length >= count && ready()) return found.map(({ key, statement }) => `${key.name} ${statement.role}`)
      await Bun.sleep(20)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('over'))
    await this.#over
    await this.pieces[Symbol.asyncDispose]()
  }
}

describe('HolderSigner', () => {
  test('signs what nobody has signed as its holder, and leaves a builder’s word alone', async () => {
    using home = new TemporaryDirectory()
    await using working = new Working(home)
    const { machine } = working
    await sign({ catalogs: [one], robotFile: undefined, keyName: undefined, role: 'builder' }, () => {}, never, machine)
    const before = working.folder.of(one)
    await working.start()
    const own = await machineKey(machine)
    expect(await working.signers(two, 1)).toEqual([`${own.name} holder`])
    expect(working.folder.of(one)).toEqual(before)
  })

  test('reads no blob on the thread that runs the network', async () => {
    using home = new TemporaryDirectory()
    await using working = new Working(home)
    const finding = spyOn(working.library, 'find')
    await working.look()
    expect(finding).not.toHaveBeenCalled()
    const [signature] = working.folder.of(two)
    const table = await hashPieces(
      working.library.catalog(two)?.catalog as never,
      { blobs: working.library, turn: nextTurn },
      never,
    )
    expect(signature?.statement.pieceTable).toBe(sha256Of(table))
  })

  test('tags its word for a fleet that is joined later, without another statement', async () => {
    using home = new TemporaryDirectory()
    await using working = new Working(home)
    await working.start()
    await working.signers(one, 1)
    const [before] = working.folder.of(one)
    expect(before?.memberTags).toEqual([])
    await joinFleet(working.machine.state, createFleet('line-4', new Uint8Array(32).fill(7)), undefined, 0)
    working.signer.lookAgain()
    await working.signers(one, 1, () => working.folder.of(one)[0]?.memberTags.length === 1)
    expect(working.folder.of(one)[0]?.statement).toEqual(before?.statement as never)
  })

  test('gives no word for what a revoked key has signed, nor for what is damaged', async () => {
    using home = new TemporaryDirectory()
    await using working = new Working(home)
    const { machine, library } = working
    const options = { catalogs: [one], robotFile: undefined, role: 'builder' } as const
    using other = new TemporaryDirectory()
    const elsewhere = machineWith(unpackSmall('gzip', other.path))
    await sign({ ...options, keyName: undefined }, () => {}, never, elsewhere)
    working.folder.keep(new SignatureFolder(elsewhere.state).of(one))
    await revokeKeyHere(machine, (await machineKey(elsewhere)).name, never)
    const [large] = distinctBlobs(library.catalog(two)?.catalog ?? { tree: undefined as never }).filter(
      ({ digest }) => !distinctBlobs(library.catalog(one)?.catalog as never).some((each) => each.digest === digest),
    )
    if (large === undefined) throw new Error('the second version has nothing of its own')
    await Bun.write(blobPath(machine.roots, large.digest), 'x'.repeat(large.sizeBytes + 1))
    await working.look()
    expect(working.folder.of(smallCold('gzip', 3).name)).toHaveLength(1)
    expect(working.folder.of(one).map(({ key }) => key.name)).toEqual([(await machineKey(elsewhere)).name])
    expect(working.folder.of(two)).toEqual([])
    rmSync(other.path, { recursive: true })
  })
})
