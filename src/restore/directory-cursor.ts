/**
 * A descriptor of one directory after another below a root, each reached without following a link.
 *
 * Neighbours in a plan share most of their path, so the descriptors of the present path stay open: entering the next
 * costs one or two calls. What is opened by a descriptor cannot be led elsewhere by a link that appears meanwhile.
 */
import { AT_FDCWD, cString, errnoError, libc, O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW } from '../base/libc.ts'
import { spaceError } from './space-changed.ts'

const OPEN_FLAGS = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC

export class DirectoryCursor implements Disposable {
  readonly #libc = libc()
  readonly #root: number
  readonly #names: string[] = []
  readonly #descriptors: number[] = []

  /** @param root absolute path of a real directory @throws {HoloError} as `enter` */
  constructor(private readonly root: string) {
    this.#root = this.#open(AT_FDCWD, root, '')
  }

  /**
   * @param path relative to the root, with `/`; '' is the root
   * @returns its descriptor, which stays open until the next call
   * @throws {HoloError} code `space-changed`: a part of the path is a link, or no directory; blame `host` otherwise
   */
  enter(path: string): number {
    const wanted = path === '' ? [] : path.split('/')
    let same = 0
    while (same < this.#names.length && same < wanted.length && this.#names[same] === wanted[same]) same++
    this.#leave(same)
    let here = this.#descriptors.at(-1) ?? this.#root
    for (let depth = same; depth < wanted.length; depth++) {
      const name = wanted[depth] ?? ''
      here = this.#open(here, name, wanted.slice(0, depth + 1).join('/'))
      this.#names.push(name)
      this.#descriptors.push(here)
    }
    return here
  }

  #leave(depth: number): void {
    for (const descriptor of this.#descriptors.splice(depth)) this.#libc.close(descriptor)
    this.#names.length = depth
  }

  #open(parent: number, name: string, path: string): number {
    const descriptor = this.#libc.openat(parent, cString(name), OPEN_FLAGS, 0)
    if (descriptor >= 0) return descriptor
    const errno = this.#libc.errno()
    throw spaceError(`enter ${path === '' ? this.root : `${this.root}/${path}`}`, errnoError(errno))
  }

  [Symbol.dispose](): void {
    this.#leave(0)
    this.#libc.close(this.#root)
  }
}
