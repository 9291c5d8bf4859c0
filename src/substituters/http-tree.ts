/**
 * A static tree behind HTTP: any web server, or a bucket whose URLs are signed.
 *
 * A transfer that breaks off goes on where it was, by a range, as long as the object is the same (If-Range).
 */
import { mapBounded } from '../base/concurrency.ts'
import { SUBSTITUTER_REQUESTS_MAX } from '../base/substituter-limits.ts'
import type { TreeName } from '../catalog/tree-names.ts'
import { SourceFailedError } from './source-failed-error.ts'
import type { ObjectRange, ReadOptions, TreeContent, TreeObject, TreeStore } from './tree-store.ts'
import type { WebAnswer, WebEdge, WebRequest } from './web-edge.ts'

export interface HttpTreeOptions {
  readonly name: string
  readonly edge: WebEdge
  /** The URL of an object, headers of its own, and those that may go to its origin only. */
  address(name: TreeName, method: WebRequest['method']): Pick<WebRequest, 'url' | 'headers' | 'secretHeaders'>
  /**
   * What a 403 means, where it may mean that there is no such object. @param body its beginning; undefined: that of HEAD
   *
   * @returns undefined: it is not there; else what is wrong, for the message
   */
  readonly forbidden?: (body: string | undefined) => string | undefined
  /** More attempts after a transfer broke off. */
  readonly resumes: number
}

export class HttpTree implements TreeStore {
  readonly name: string

  constructor(private readonly options: HttpTreeOptions) {
    this.name = options.name
  }

  async read(
    name: TreeName,
    { range, version, encoded = false }: ReadOptions,
    signal: AbortSignal,
  ): Promise<TreeObject | undefined> {
    const answer = await this.#get(name, range, encoded, version, signal)
    if (answer === undefined) return undefined
    const encoding = this.#encodingOf(name, answer, encoded)
    const bytes = this.#bytes(name, answer, encoding === 'identity' ? range : undefined, signal)
    return { encoding, version: versionOf(answer), bytes }
  }

  async has(names: readonly TreeName[], signal: AbortSignal): Promise<ReadonlySet<TreeName>> {
    const held = await mapBounded(names, SUBSTITUTER_REQUESTS_MAX, (name) => this.#holds(name, signal), signal)
    return new Set(names.filter((_name, index) => held[index]))
  }

  async #holds(name: TreeName, signal: AbortSignal): Promise<boolean> {
    const address = this.options.address(name, 'HEAD')
    const answer = await this.options.edge.request({ method: 'HEAD', ...address, what: name }, signal)
    if (answer.status !== 200) return this.#isAbsent(name, answer, async () => undefined)
    answer.discard()
    return true
  }

  async write(name: TreeName, content: TreeContent, signal: AbortSignal): Promise<void> {
    const address = this.options.address(name, 'PUT')
    const body = content.kind === 'bytes' ? content.bytes : Bun.file(content.path)
    const answer = await this.options.edge.request({ method: 'PUT', ...address, body, what: name }, signal)
    answer.discard()
    if (answer.status >= 200 && answer.status < 300) return
    if (answer.status === 401 || answer.status === 403) throw refused(this.name, name, `status ${answer.status}`)
    throw new SourceFailedError(`${this.name} does not take ${name} (status ${answer.status})`, {
      code: 'source-read-only',
      hint: 'let that web server take PUT, and make directories for it (nginx: dav_methods PUT; create_full_put_path on)',
    })
  }

  async #get(
    name: TreeName,
    range: ObjectRange | undefined,
    encoded: boolean,
    same: string | undefined,
    signal: AbortSignal,
  ): Promise<WebAnswer | undefined> {
    const address = this.options.address(name, 'GET')
    const headers = {
      ...address.headers,
      ...(range === undefined ? {} : { range: `bytes=${range.offset}-${range.offset + range.bytes - 1}` }),
      ...(same === undefined ? {} : { 'if-range': same }),
      ...(encoded ? { 'accept-encoding': 'zstd, gzip, identity' } : {}),
    }
    const answer = await this.options.edge.request({ method: 'GET', ...address, headers, what: name }, signal)
    const { status } = answer
    if (status === (range === undefined ? 200 : 206)) {
      if (range !== undefined) this.#checkRange(name, answer, range)
      return answer
    }
    if (range !== undefined && status === 200) {
      answer.discard()
      if (same !== undefined && versionOf(answer) !== same) throw this.#changed(name)
      throw new SourceFailedError(`${this.name} does not send ranges of ${name}`, { code: 'source-without-ranges' })
    }
    if (range !== undefined && status === 416) {
      answer.discard()
      throw this.#tooShort(name)
    }
    await this.#isAbsent(name, answer, () => beginningOf(answer))
    return undefined
  }

  /** @returns false, since there is no such object @throws {SourceFailedError} the answer says something else */
  async #isAbsent(name: TreeName, answer: WebAnswer, body: () => Promise<string | undefined>): Promise<false> {
    const { status } = answer
    const forbidden = status === 403 ? this.options.forbidden : undefined
    const reason = forbidden?.(await body())
    answer.discard()
    if (status === 404 || status === 410 || (forbidden !== undefined && reason === undefined)) return false
    if (status === 401 || status === 403) throw refused(this.name, name, reason ?? `status ${status}`)
    throw new SourceFailedError(`${this.name} answered with status ${status} for ${name}`, { code: 'source-status' })
  }

  #checkRange(name: TreeName, answer: WebAnswer, { offset, bytes }: ObjectRange): void {
    const told = /^bytes (\d+)-(\d+)\//.exec(answer.headers.get('content-range') ?? '')
    const end = offset + bytes - 1
    if (told !== null && Number(told[1]) === offset && Number(told[2]) === end) return
    answer.discard()
    if (told !== null && Number(told[1]) === offset && Number(told[2]) < end) throw this.#tooShort(name)
    throw new SourceFailedError(`${this.name} sent another range of ${name} than was asked for`, {
      code: 'source-invalid',
    })
  }

  #tooShort(name: TreeName): SourceFailedError {
    return new SourceFailedError(`${name} of ${this.name} is shorter than it has to be`, { code: 'source-short' })
  }

  #encodingOf(name: TreeName, answer: WebAnswer, encoded: boolean): TreeObject['encoding'] {
    const text = answer.headers.get('content-encoding')?.trim().toLowerCase() ?? 'identity'
    if (text === 'identity' || text === '') return 'identity'
    if (encoded && (text === 'gzip' || text === 'zstd')) return text
    answer.discard()
    throw new SourceFailedError(
      `${this.name} sent ${name} in the encoding "${text.slice(0, 40)}", which was not asked for`,
      {
        code: 'source-invalid',
        hint: 'let that web server send files as they are',
      },
    )
  }

  /** @param range what is to come; undefined: all that comes */
  async *#bytes(
    name: TreeName,
    first: WebAnswer,
    range: ObjectRange | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const offset = range?.offset ?? 0
    const wantedBytes = range?.bytes ?? lengthOf(first)
    const same = versionOf(first)
    // A weak tag says nothing of single bytes.
    const resumable = wantedBytes !== undefined && (same !== undefined || !first.headers.has('etag'))
    let answer = first
    let done = 0
    for (let resumes = 0; ; resumes++) {
      try {
        for await (const chunk of answer.bytes()) {
          done += chunk.byteLength
          if (wantedBytes !== undefined && done > wantedBytes) throw this.#wrongLength(name, wantedBytes)
          yield chunk
        }
        if (wantedBytes === undefined || done === wantedBytes) return
        throw new SourceFailedError(`${this.name} broke off ${name} after ${done} of ${wantedBytes} bytes`, {
          code: 'source-broke-off',
        })
      } catch (error) {
        const broke = error instanceof SourceFailedError && error.code === 'source-broke-off'
        if (!broke || !resumable || resumes >= this.options.resumes) throw error
        const next = await this.#get(name, { offset: offset + done, bytes: wantedBytes - done }, false, same, signal)
        if (next === undefined) throw error
        answer = next
      }
    }
  }

  #changed(name: TreeName): SourceFailedError {
    return new SourceFailedError(`${name} of ${this.name} was replaced while it was read`, { code: 'source-changed' })
  }

  #wrongLength(name: TreeName, bytes: number): SourceFailedError {
    return new SourceFailedError(`${this.name} sent more than the ${bytes} bytes of ${name}`, {
      code: 'source-invalid',
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** What If-Range takes. */
function versionOf({ headers }: WebAnswer): string | undefined {
  const tag = headers.get('etag')
  if (tag !== null) return tag.startsWith('W/') ? undefined : tag
  return headers.get('last-modified') ?? undefined
}

function lengthOf({ headers }: WebAnswer): number | undefined {
  const text = headers.get('content-length')
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** Credentials that are missing, wrong or expired: the source's next question would end the same way. */
function refused(source: string, name: TreeName, reason: string): SourceFailedError {
  return new SourceFailedError(`${source} refuses ${name} (${reason})`, {
    code: 'source-refused',
    hint: 'look at credentials-env or credentials-file of that entry, whether they have expired, and at both clocks',
  })
}

/** Enough of an answer to see what a server says in it. */
async function beginningOf(answer: WebAnswer): Promise<string> {
  for await (const chunk of answer.bytes()) return Buffer.from(chunk.subarray(0, 4096)).toString('latin1')
  return ''
}
