/**
 * The walk over a stage that is to be recorded: as rcc's own, every link is followed, and what it leads to is recorded
 * below it once more (formats.md §6).
 *
 * Reads no file and changes nothing. Refuses, by name, what a catalog cannot hold or a restore could not make again:
 * links that lead nowhere or in a circle, pipes, sockets and devices, names that are not UTF-8, trees beyond the limits.
 */
import * as fs from 'node:fs'
import { nextTurn } from '../base/clock.ts'
import { HoloError, hostError, systemCodeOf } from '../base/errors.ts'
import {
  BLOB_BYTES_MAX,
  CATALOG_DEPTH_MAX,
  CATALOG_ENTRIES_MAX,
  ENVIRONMENT_BYTES_MAX,
  PATH_BYTES_MAX,
} from '../base/limits.ts'
import { entryNameProblem, foldedName } from '../catalog/entry-name.ts'
import { goDirectoryMode, goFileMode } from '../catalog/go-mode.ts'
import type { Platform } from '../catalog/names.ts'
import type { StageDirectory, StageFile } from '../catalog/recorded-catalog.ts'
import { isSkippedName } from '../catalog/skipped-name.ts'

const REPLACEMENT = '\ufffd'
/** The event loop gets its turn after so many directories. */
const DIRECTORIES_PER_TURN = 64

/**
 * @param stagePath absolute; a directory, not a link to one
 * @param os decides which names a catalog may hold
 * @throws {HoloError} blame `input`: `link-broken`, `link-circular`, `entry-special`, `name-undecodable`,
 *   `stage-too-large`, `name-refused`; blame `host` where something cannot be read, or vanished meanwhile
 * @throws `signal.reason`, unwrapped, once `signal` aborts
 */
export async function walkStage(stagePath: string, os: Platform['os'], signal: AbortSignal): Promise<StageDirectory> {
  const status = looked(stagePath, () => fs.lstatSync(stagePath))
  const realPath = looked(stagePath, () => fs.realpathSync(stagePath))
  const place: Place = { path: stagePath, realPath, relativeBytes: 0, above: [] }
  return new StageWalk(os, signal).directory(place, { name: '', symlink: undefined, shadow: false }, status)
}

/** Where the walk is. */
interface Place {
  /** As the walk came here, through links: for messages. */
  readonly path: string
  /** The same place, free of links: what the system is asked for, since it follows only so many on one way. */
  readonly realPath: string
  /** Length of the path within the stage, with a slash at its end. */
  readonly relativeBytes: number
  /** Real paths of the directories above, the root first. */
  readonly above: readonly string[]
}

class StageWalk {
  #entries = 0
  #directories = 0
  #totalBytes = 0

  constructor(
    private readonly os: Platform['os'],
    private readonly signal: AbortSignal,
  ) {}

  async directory(
    place: Place,
    as: Pick<StageDirectory, 'name' | 'symlink' | 'shadow'>,
    status: fs.Stats,
  ): Promise<StageDirectory> {
    this.signal.throwIfAborted()
    if (place.above.length > CATALOG_DEPTH_MAX) {
      throw tooLarge(place.path, `lies deeper than ${CATALOG_DEPTH_MAX} directories`)
    }
    this.#count(place.path)
    if (++this.#directories % DIRECTORIES_PER_TURN === 0) await nextTurn()
    const subdirs: StageDirectory[] = []
    const files: StageFile[] = []
    const folded = new Map<string, string>()
    for (const name of namesIn(place)) {
      if (isSkippedName(name)) continue
      this.#checkName(place.path, name, folded)
      const found = entryAt(place, name)
      const { path, target } = found
      if (found.relativeBytes > PATH_BYTES_MAX) throw tooLarge(path, `has a path longer than ${PATH_BYTES_MAX} bytes`)
      if (found.status.isDirectory()) {
        const below = { name, symlink: target, shadow: as.shadow || as.symlink !== undefined }
        const above = [...place.above, place.realPath]
        if (target !== undefined && above.includes(found.realPath)) {
          throw linkError(path, target, 'link-circular', 'leads back to a directory that it lies in')
        }
        subdirs.push(await this.directory({ ...found, above }, below, found.status))
      } else {
        files.push(this.#file(name, found))
      }
    }
    return { ...as, goMode: goDirectoryMode(status.mode), subdirs, files }
  }

  #file(name: string, { path, realPath, target, status }: Entry): StageFile {
    if (!status.isFile()) throw special(path, status)
    this.#count(path)
    this.#totalBytes += status.size
    if (status.size > BLOB_BYTES_MAX) throw tooLarge(path, `has more than ${BLOB_BYTES_MAX} bytes`)
    if (this.#totalBytes > ENVIRONMENT_BYTES_MAX) {
      throw tooLarge(path, `brings the files of the environment to more than ${ENVIRONMENT_BYTES_MAX} bytes`)
    }
    return { name, symlink: target, goMode: goFileMode(status.mode), sizeBytes: status.size, realPath }
  }

  #checkName(directory: string, name: string, folded: Map<string, string>): void {
    const problem = entryNameProblem(name, this.os)
    if (problem !== undefined) throw nameRefused(directory, problem)
    const key = foldedName(name, this.os)
    if (key === undefined) return
    const other = folded.get(key)
    if (other !== undefined) {
      throw nameRefused(directory, `${JSON.stringify(other)} and ${JSON.stringify(name)} are one name on ${this.os}`)
    }
    folded.set(key, name)
  }

  #count(path: string): void {
    if (++this.#entries > CATALOG_ENTRIES_MAX) {
      throw tooLarge(path, `is one entry more than the ${CATALOG_ENTRIES_MAX} that a catalog holds, links followed`)
    }
  }
}

interface Entry {
  readonly path: string
  readonly realPath: string
  readonly relativeBytes: number
  /** Text of the link, where it is one; `status` and `realPath` are then of what it leads to. */
  readonly target: string | undefined
  readonly status: fs.Stats
}

function entryAt(directory: Place, name: string): Entry {
  const path = `${directory.path}/${name}`
  const realPath = `${directory.realPath}/${name}`
  const relativeBytes = directory.relativeBytes + Buffer.byteLength(name) + 1
  const status = looked(path, () => fs.lstatSync(realPath))
  if (!status.isSymbolicLink()) return { path, realPath, relativeBytes, target: undefined, status }
  const target = linkText(path, realPath)
  try {
    const leadsTo = fs.realpathSync(realPath)
    return { path, realPath: leadsTo, relativeBytes, target, status: fs.statSync(leadsTo) }
  } catch (error) {
    const systemCode = systemCodeOf(error)
    if (systemCode === 'ENOENT' || systemCode === 'ENOTDIR') {
      throw linkError(path, target, 'link-broken', 'leads to nothing')
    }
    if (systemCode === 'ELOOP') throw linkError(path, target, 'link-circular', 'leads in a circle')
    throw hostError(`follow the link ${path}`, error)
  }
}

function linkText(path: string, place: string): string {
  const bytes = looked(path, () => fs.readlinkSync(place, { encoding: 'buffer' }))
  const text = bytes.toString('utf8')
  if (Buffer.from(text).equals(bytes)) return text
  throw new HoloError(`The text of the link ${path} is not UTF-8, so no catalog can hold it`, {
    code: 'name-undecodable',
    blame: 'input',
    hint: 'remove that link, or make it anew',
  })
}

/** Names as text. A name that is not UTF-8 would come out of rcc's catalog as another one, so it is refused. */
function namesIn({ path, realPath }: Place): string[] {
  const names = looked(path, () => fs.readdirSync(realPath))
  // Bytes that are no UTF-8 read as this character, which a name may also have: only the bytes tell them apart.
  if (!names.some((name) => name.includes(REPLACEMENT))) return names
  for (const bytes of looked(path, () => fs.readdirSync(realPath, { encoding: 'buffer' }))) {
    const name = bytes.toString('utf8')
    if (Buffer.from(name).equals(bytes) || isSkippedName(name)) continue
    throw new HoloError(`The directory ${path} holds a name that is not UTF-8: ${JSON.stringify(name)}`, {
      code: 'name-undecodable',
      blame: 'input',
      hint: 'rename or remove that entry; a catalog holds UTF-8 names only',
    })
  }
  return names
}

function looked<Result>(path: string, look: () => Result): Result {
  try {
    return look()
  } catch (error) {
    const systemCode = systemCodeOf(error)
    if (systemCode === 'ENOENT' || systemCode === 'ENOTDIR') throw stageChanged(path, 'vanished')
    throw hostError(`read ${path}`, error)
  }
}

/** @param how a verb: `vanished`, `changed` */
export function stageChanged(path: string, how: string): HoloError {
  return new HoloError(`${path} ${how} while it was recorded`, {
    code: 'stage-changed',
    blame: 'host',
    hint: 'stop what writes there, then run the same command again',
  })
}

function linkError(path: string, target: string, code: string, how: string): HoloError {
  return new HoloError(`The link ${path} (to ${target}) ${how}`, {
    code,
    blame: 'input',
    hint: 'remove that link, or let it lead to a file or directory; rcc records what links lead to',
  })
}

function special(path: string, status: fs.Stats): HoloError {
  const kinds: [is: boolean, kind: string][] = [
    [status.isFIFO(), 'a named pipe'],
    [status.isSocket(), 'a socket'],
    [status.isBlockDevice() || status.isCharacterDevice(), 'a device'],
  ]
  const kind = kinds.find(([is]) => is)?.[1] ?? 'no regular file'
  return new HoloError(`${path} is ${kind}, which no catalog can hold`, {
    code: 'entry-special',
    blame: 'input',
    hint: 'remove it; an environment consists of files, directories and links',
  })
}

function tooLarge(path: string, how: string): HoloError {
  return new HoloError(`${path} ${how}`, {
    code: 'stage-too-large',
    blame: 'input',
    hint: 'take out what the environment does not need; links to large directories count too',
  })
}

function nameRefused(directory: string, problem: string): HoloError {
  return new HoloError(`The directory ${directory} cannot be recorded: ${problem}`, {
    code: 'name-refused',
    blame: 'input',
    hint: 'rename that entry',
  })
}
