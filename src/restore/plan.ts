/**
 * What has to happen in a space so that it becomes the catalog's tree: pure, so that `--dry-run` ends here.
 *
 * Guarantees that applying the plan gives exactly the tree, whatever stood there: kinds that changed, edits that kept
 * their size (rcc fixes every mtime, so another one shows them), extra entries. An entry counts as unchanged only where
 * its digest is known. Knows nothing of blobs' whereabouts.
 */
import { HoloError } from '../base/errors.ts'
import type { Digest } from '../blob/digest.ts'
import type { BlobRef } from '../blob/source.ts'
import type { SpaceIdentity } from '../catalog/encode-catalog.ts'
import { type SpacePaths, spacePaths } from '../catalog/layout.ts'
import { IDENTITY_BYTES, spaceTarget } from '../catalog/relocation.ts'
import { type SpaceNote, spaceNote } from '../catalog/space-note.ts'
import type { Catalog, CatalogDirectory, CatalogFile } from '../catalog/tree.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import { RESTORED_TIME_MS, unixMode } from './file-mode.ts'
import type { PresentDirectory, PresentEntry, SpaceState } from './space-state.ts'
import { isTemporaryName } from './temporary-name.ts'

export interface FileStep {
  readonly name: string
  readonly digest: Digest
  readonly sizeBytes: number
  /** The twelve bits of chmod(2). */
  readonly mode: number
  /** Offsets where the space's name is written. */
  readonly rewrite: readonly number[]
}

export interface LinkStep {
  readonly name: string
  /** Verbatim, as recorded: absolute links into the stage dangle, as with rcc. */
  readonly target: string
}

/** One directory in which something is to be done; parents come before their children. */
export interface DirectoryStep {
  /** Relative to the space, with `/`; '' is the root. */
  readonly path: string
  readonly make: boolean
  /** Entries that go away with all that is below them. */
  readonly remove: readonly string[]
  /** Names that are not UTF-8 go away. */
  readonly removeUndecodable: boolean
  readonly links: readonly LinkStep[]
  readonly files: readonly FileStep[]
  /**
   * Set its time to rcc's fixed one. As with rcc, a directory in which something was placed or removed keeps the
   * present time: a running Python sees by it that its listing is old.
   */
  readonly settle: boolean
}

export interface PlanTotals {
  readonly directoriesToMake: number
  readonly entriesToRemove: number
  readonly linksToMake: number
  readonly filesToPlace: number
  readonly bytesToPlace: number
  readonly filesToRelocate: number
  readonly directoriesUnchanged: number
  readonly linksUnchanged: number
  readonly filesUnchanged: number
}

export interface RestorePlan {
  readonly paths: SpacePaths
  /** The 24 bytes that relocation writes. */
  readonly spaceName: string
  /** Something that is no usable directory stands where the space belongs. */
  readonly clearRoot: boolean
  readonly steps: readonly DirectoryStep[]
  /** Each blob that a step reads, once, in the order of the steps. */
  readonly needed: readonly BlobRef[]
  /** What `.meta` will say. */
  readonly note: SpaceNote
  readonly writeMeta: boolean
  readonly totals: PlanTotals
}

export interface PlanOptions {
  /** What the catalog does not have stays, unless it stands in the way. */
  readonly keepExtra?: boolean
  /** Files may be hard links to their blobs; else such a file is placed anew, so that it can be written safely. */
  readonly hardlinked?: boolean
  /** A file may be a link with this target: its blob's path. */
  readonly blobPath?: ((digest: Digest) => string) | undefined
}

/** Whether applying the plan touches nothing at all. */
export function isPristine(plan: RestorePlan): boolean {
  return plan.steps.length === 0 && !plan.clearRoot && !plan.writeMeta
}

/**
 * @param verified restoring a catalog is running it: only one that trust let through is planned
 * @param target whose space it is; its directory follows from the catalog
 * @param state from `inspectSpace` with the same catalog
 * @throws {HoloError} as `spaceTarget`; blame `source`, code `catalog-invalid`: a relocation beyond the end of its file
 */
export function planRestore(
  verified: VerifiedCatalog,
  target: SpaceIdentity,
  state: SpaceState,
  options: PlanOptions = {},
): RestorePlan {
  const { catalog } = verified
  const note = spaceNote(catalog, () => verified.tail(), target)
  const paths = spacePaths(spaceTarget(catalog, target.spaceName).path)
  const planner = new Planner(state, options)
  planner.run(catalog.tree)
  // A space that is as it should be is not touched: rcc sets the directories' times again even then.
  const changes = planner.steps.filter(doesSomething)
  const steps = changes.length === 0 ? [] : planner.steps.filter((step) => step.settle || doesSomething(step))
  const noted =
    !state.interrupted &&
    state.metaInfo === new TextDecoder().decode(note.infoBytes()) &&
    state.meta !== undefined &&
    sameCatalog(state.meta, note.meta)
  return {
    paths,
    spaceName: target.spaceName,
    clearRoot: state.root === 'obstacle',
    steps,
    needed: planner.needed(),
    note,
    writeMeta: !noted || steps.length > 0,
    totals: planner.totals,
  }
}

function doesSomething(step: DirectoryStep): boolean {
  return step.make || step.removeUndecodable || step.remove.length + step.links.length + step.files.length > 0
}

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] }

class Planner {
  readonly steps: DirectoryStep[] = []
  readonly totals: Mutable<PlanTotals> = {
    directoriesToMake: 0,
    entriesToRemove: 0,
    linksToMake: 0,
    filesToPlace: 0,
    bytesToPlace: 0,
    filesToRelocate: 0,
    directoriesUnchanged: 0,
    linksUnchanged: 0,
    filesUnchanged: 0,
  }
  readonly #needed = new Map<Digest, BlobRef>()

  constructor(
    private readonly state: SpaceState,
    private readonly options: PlanOptions,
  ) {}

  needed(): BlobRef[] {
    return [...this.#needed.values()]
  }

  run(tree: CatalogDirectory): void {
    const pending: { path: string; directory: CatalogDirectory }[] = [{ path: '', directory: tree }]
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const { path, directory } = next
      this.steps.push(this.#step(path, directory))
      const below: typeof pending = []
      for (const [name, subdir] of directory.subdirs) {
        if (isRealDirectory(subdir)) below.push({ path: path === '' ? name : `${path}/${name}`, directory: subdir })
      }
      while (below.length > 0) pending.push(below.pop() as (typeof below)[0])
    }
  }

  #step(path: string, wanted: CatalogDirectory): DirectoryStep {
    const present = this.state.directories.get(path)
    const links: LinkStep[] = []
    const files: FileStep[] = []
    for (const subdir of wanted.subdirs.values()) {
      if (!subdir.shadow && subdir.symlink !== undefined) this.#link(subdir.name, subdir.symlink, present, links)
    }
    for (const file of wanted.files.values()) {
      if (file.symlink !== undefined) this.#link(file.name, file.symlink, present, links)
      else this.#file(file, present?.entries.get(file.name), files)
    }
    const { keepExtra = false } = this.options
    const remove = present === undefined ? [] : [...unwanted(wanted, present, keepExtra)]
    const make = present === undefined
    const removeUndecodable = !keepExtra && present?.hasUndecodable === true
    if (make) this.totals.directoriesToMake++
    else this.totals.directoriesUnchanged++
    this.totals.entriesToRemove += remove.length
    const touched = removeUndecodable || remove.length + links.length + files.length > 0
    const settle = !touched && present?.mtimeMs !== RESTORED_TIME_MS
    return { path, make, remove, removeUndecodable, links, files, settle }
  }

  #link(name: string, target: string, present: PresentDirectory | undefined, links: LinkStep[]): void {
    const entry = present?.entries.get(name)
    if (entry?.kind === 'link' && entry.target === target) {
      this.totals.linksUnchanged++
      return
    }
    links.push({ name, target })
    this.totals.linksToMake++
  }

  #file(wanted: CatalogFile, entry: PresentEntry | undefined, files: FileStep[]): void {
    const { name, digest, sizeBytes, rewrite } = wanted
    const mode = unixMode(wanted.goMode)
    const linked = entry?.kind === 'link' && this.options.blobPath?.(digest) === entry.target
    if (
      linked ||
      (entry?.kind === 'file' &&
        entry.file.digest === digest &&
        entry.file.sizeBytes === sizeBytes &&
        entry.file.mode === mode &&
        entry.file.mtimeMs === RESTORED_TIME_MS &&
        (entry.file.links === 1 || this.options.hardlinked === true))
    ) {
      this.totals.filesUnchanged++
      return
    }
    checkRewrites(wanted)
    files.push({ name, digest, sizeBytes, mode, rewrite })
    if (!this.#needed.has(digest)) this.#needed.set(digest, { digest, sizeBytes })
    this.totals.filesToPlace++
    this.totals.bytesToPlace += sizeBytes
    if (rewrite.length > 0) this.totals.filesToRelocate++
  }
}

/** Relocation must not make a file longer than its blob. */
function checkRewrites({ name, sizeBytes, rewrite }: CatalogFile): void {
  if (rewrite.length === 0 || rewrite.every((offset) => offset + IDENTITY_BYTES <= sizeBytes)) return
  throw new HoloError(`The catalog relocates ${name} beyond its end`, {
    code: 'catalog-invalid',
    blame: 'source',
    hint: 'take it from another source, or let rcc record the environment again',
  })
}

/** Present names that the catalog lacks, or has as something that cannot take their place by a rename. */
function* unwanted(wanted: CatalogDirectory, present: PresentDirectory, keepExtra: boolean): Generator<string> {
  for (const [name, entry] of present.entries) {
    const subdir = wanted.subdirs.get(name)
    const inCatalog = wanted.files.has(name) || (subdir !== undefined && !subdir.shadow)
    // An `other` is no file, no link and no usable directory that is wanted here, or it would bear its own kind.
    // What a killed run of ours left is nobody's extra.
    if (inCatalog ? entry.kind === 'other' : !keepExtra || isTemporaryName(name)) yield name
  }
}

function isRealDirectory(directory: CatalogDirectory): boolean {
  return !directory.shadow && directory.symlink === undefined
}

/** Whether two catalogs say the same, field by field. */
function sameCatalog(left: Catalog, right: Catalog): boolean {
  return (
    left.rcc === right.rcc &&
    left.identity === right.identity &&
    left.path === right.path &&
    left.controller === right.controller &&
    left.space === right.space &&
    left.platform === right.platform &&
    left.blueprint === right.blueprint &&
    left.lifted === right.lifted &&
    sameDirectory(left.tree, right.tree)
  )
}

function sameDirectory(left: CatalogDirectory, right: CatalogDirectory): boolean {
  if (left === right) return true
  if (left.name !== right.name || left.symlink !== right.symlink || left.goMode !== right.goMode) return false
  if (left.shadow !== right.shadow) return false
  if (left.files.size !== right.files.size || left.subdirs.size !== right.subdirs.size) return false
  for (const [name, file] of left.files) {
    const other = right.files.get(name)
    if (other === undefined || !sameFile(file, other)) return false
  }
  for (const [name, subdir] of left.subdirs) {
    const other = right.subdirs.get(name)
    if (other === undefined || !sameDirectory(subdir, other)) return false
  }
  return true
}

function sameFile(left: CatalogFile, right: CatalogFile): boolean {
  return (
    left.digest === right.digest &&
    left.sizeBytes === right.sizeBytes &&
    left.goMode === right.goMode &&
    left.symlink === right.symlink &&
    left.rewrite.length === right.rewrite.length &&
    left.rewrite.every((offset, index) => offset === right.rewrite[index])
  )
}
