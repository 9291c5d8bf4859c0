/**
 * The static tree in an S3 bucket. Reading is HTTP with signed URLs, so everything that keeps a bad web server from
 * hurting holds here too; without credentials the URLs are bare. Writing and listing are Bun's S3 client.
 */
import { S3Client, type S3ListObjectsResponse } from 'bun'
import { abortable } from '../base/concurrency.ts'
import { HoloError, messageOf, systemCodeOf } from '../base/errors.ts'
import { S3_PART_BYTES, S3_QUESTIONS_MAX } from '../base/substituter-limits.ts'
import type { SourceAddress } from '../blob/source-address.ts'
import type { TreeName } from '../catalog/tree-names.ts'
import { HttpTree } from './http-tree.ts'
import { SourceFailedError } from './source-failed-error.ts'
import type { ReadOptions, TreeContent, TreeObject, TreeStore } from './tree-store.ts'
import type { WebEdge } from './web-edge.ts'

/** How long a signed URL is good for, in seconds: as long as a transfer may take that is tried again. */
const SIGNED_SECONDS = 3_600
const PARTS_AT_ONCE = 3
const PART_RETRIES = 3

export interface S3TreeOptions {
  readonly address: Extract<SourceAddress, { readonly kind: 's3' }>
  readonly edge: WebEdge
  /** `KEY:SECRET` or `KEY:SECRET:SESSION`; undefined: nothing is signed. */
  readonly credentials: string | undefined
  readonly resumes: number
}

export class S3Tree implements TreeStore {
  readonly name: string
  readonly #http: HttpTree
  readonly #client: S3Client | undefined
  readonly #prefix: string

  /** @throws {HoloError} blame `input`: the credentials have another form */
  constructor({ address, edge, credentials, resumes }: S3TreeOptions) {
    this.name = address.label
    this.#prefix = address.prefix
    this.#client = credentials === undefined ? undefined : clientOf(address, credentials)
    const client = this.#client
    this.#http = new HttpTree({
      name: this.name,
      edge,
      resumes,
      address: (name, method) => ({
        url: client === undefined ? bareUrl(address, name) : signedUrl(client, `${address.prefix}${name}`, method),
      }),
      // S3 tells those who may not list a bucket that they may not see what is not there.
      forbidden: (body) => {
        const code = /<Code>([A-Za-z]{1,64})<\/Code>/.exec(body ?? '')?.[1]
        const maybeAbsent = client !== undefined && (code === 'AccessDenied' || body === undefined)
        return maybeAbsent ? undefined : (code ?? 'status 403')
      },
    })
  }

  async has(names: readonly TreeName[], signal: AbortSignal): Promise<ReadonlySet<TreeName>> {
    const client = this.#client
    if (client === undefined || names.length <= S3_QUESTIONS_MAX) return this.#http.has(names, signal)
    const wanted = new Set(names)
    const held = new Set<TreeName>()
    const sorted = [...names].sort()
    const first = `${this.#prefix}${sorted[0] ?? ''}`
    const last = `${this.#prefix}${sorted.at(-1) ?? ''}`
    // Just before the first wanted one.
    let startAfter: string | undefined = first.slice(0, -1)
    while (startAfter !== undefined && startAfter < last) {
      signal.throwIfAborted()
      const page: S3ListObjectsResponse = await this.#asked(
        'a list of objects',
        client.list({ prefix: this.#prefix, startAfter }),
        signal,
      )
      const keys = (page.contents ?? []).map(({ key }) => key)
      for (const key of keys) {
        const name = key.slice(this.#prefix.length)
        if (wanted.has(name)) held.add(name)
      }
      const end = keys.at(-1)
      startAfter = page.isTruncated === true && end !== undefined && end > startAfter ? end : undefined
    }
    return held
  }

  read(name: TreeName, options: ReadOptions, signal: AbortSignal): Promise<TreeObject | undefined> {
    return this.#http.read(name, options, signal)
  }

  async write(name: TreeName, content: TreeContent, signal: AbortSignal): Promise<void> {
    const client = this.#client
    if (client === undefined || content.kind === 'bytes' || content.sizeBytes <= S3_PART_BYTES) {
      return this.#http.write(name, content, signal)
    }
    const file = client.file(`${this.#prefix}${name}`)
    const writer = file.writer({ partSize: S3_PART_BYTES, queueSize: PARTS_AT_ONCE, retry: PART_RETRIES })
    try {
      for await (const chunk of Bun.file(content.path).stream()) {
        signal.throwIfAborted()
        writer.write(chunk)
        await this.#asked(name, Promise.resolve(writer.flush()), signal)
      }
      await this.#asked(name, Promise.resolve(writer.end()), signal)
    } catch (error) {
      await Promise.resolve(writer.end(error instanceof Error ? error : new Error(String(error)))).catch(() => {})
      throw error
    }
  }

  /** An answer of the client, whose messages may bear more than a name. */
  async #asked<Answer>(what: string, answer: Promise<Answer>, signal: AbortSignal): Promise<Answer> {
    try {
      return await abortable(answer, signal)
    } catch (error) {
      signal.throwIfAborted()
      throw new SourceFailedError(`${this.name} failed for ${what}: ${systemCodeOf(error) ?? messageOf(error)}`, {
        code: 'source-status',
        hint: 'look whether the bucket is there, and whether these credentials may list and write it',
      })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http[Symbol.asyncDispose]()
  }
}

function clientOf({ bucket, endpoint, region, label }: S3TreeOptions['address'], credentials: string): S3Client {
  const [accessKeyId = '', secretAccessKey = '', ...session] = credentials.split(':')
  if (accessKeyId === '' || secretAccessKey === '') {
    throw new HoloError(`The credentials for ${label} are not of the form KEY:SECRET or KEY:SECRET:SESSION`, {
      code: 'credentials-invalid',
      blame: 'input',
      hint: 'correct what credentials-env or credentials-file of that entry names',
    })
  }
  return new S3Client({
    bucket,
    region,
    accessKeyId,
    secretAccessKey,
    ...(endpoint === undefined ? {} : { endpoint: endpoint.href.replace(/\/$/, '') }),
    ...(session.length === 0 ? {} : { sessionToken: session.join(':') }),
  })
}

function signedUrl(client: S3Client, key: string, method: string): URL {
  const signed = method === 'HEAD' || method === 'PUT' ? method : 'GET'
  return new URL(client.presign(key, { method: signed, expiresIn: SIGNED_SECONDS }))
}

function bareUrl({ bucket, endpoint, region, prefix }: S3TreeOptions['address'], name: TreeName): URL {
  const root = endpoint?.href ?? `https://s3.${region}.amazonaws.com/`
  const path = [bucket, ...`${prefix}${name}`.split('/')].map(encodeURIComponent).join('/')
  return new URL(path, root.endsWith('/') ? root : `${root}/`)
}
