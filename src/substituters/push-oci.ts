/** Pushing to an OCI repository: the layers first, then the manifest under the catalog's name, which makes it visible. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { MANIFEST_BYTES_MAX, SIGNATURES_BYTES_MAX } from '../base/substituter-limits.ts'
import { sha256Hasher } from '../blob/digest.ts'
import { piecesOf } from '../catalog/pieces.ts'
import { collect } from './collect.ts'
import {
  decodeManifest,
  EMPTY_CONFIG,
  encodeManifest,
  MANIFEST_TYPE,
  type OciBlob,
  type OciEnvironment,
  ociBlobOf,
} from './oci-manifest.ts'
import type { OciRegistry } from './oci-registry.ts'
import { writePack } from './pack-writer.ts'
import {
  type PushedEnvironment,
  type PushOptions,
  type PushOutcome,
  type PushTarget,
  signaturesToSend,
} from './push-environment.ts'
import { SourceFailedError } from './source-failed-error.ts'
import type { TreeContent } from './tree-store.ts'

export class OciPushTarget implements PushTarget {
  readonly name: string

  constructor(private readonly registry: OciRegistry) {
    this.name = registry.name
  }

  async push(environment: PushedEnvironment, options: PushOptions, signal: AbortSignal): Promise<PushOutcome> {
    const { name, stored, catalog, sha256, blobs } = environment
    const pieces = piecesOf(catalog)
    const all = pieces.blobs.length
    const there = await this.#manifest(name, signal)
    const signatures = signaturesToSend(environment, await this.#signaturesOf(there, signal))
    const signed =
      signatures === undefined ? there?.signatures : signatures.byteLength === 0 ? undefined : ociBlobOf(signatures)
    const outcome = {
      catalog: name,
      blobs: all,
      blobsSent: 0,
      blobBytesSent: 0,
      signaturesSent: signatures !== undefined,
    }
    // A manifest is pushed last, so what it names is there, and the pack of a catalog is always the same in content.
    const known = there?.catalog.digest === ociBlobOf(stored).digest ? there : undefined
    if (options.dryRun) {
      return { ...outcome, packBytesSent: known === undefined ? undefined : 0, catalogSent: known === undefined }
    }
    if (signatures !== undefined && signed !== undefined) {
      await this.#upload(signed, { kind: 'bytes', bytes: signatures }, signal)
    }
    if (known !== undefined) {
      if (signatures !== undefined) await this.#putManifest(name, { ...known, signatures: signed }, signal)
      return { ...outcome, packBytesSent: 0, catalogSent: false }
    }
    const path = join(options.spool, 'pack')
    try {
      const pack = await writePack(path, sha256, pieces, blobs, () => options.onProgress(0, all, 0), signal)
      const packed = { digest: `sha256:${await fileDigest(path, signal)}`, sizeBytes: pack.sizeBytes }
      await this.#upload(packed, { kind: 'file', ...pack }, signal)
      await this.#upload(ociBlobOf(EMPTY_CONFIG), { kind: 'bytes', bytes: EMPTY_CONFIG }, signal)
      await this.#upload(ociBlobOf(stored), { kind: 'bytes', bytes: stored }, signal)
      await this.#putManifest(name, { catalog: ociBlobOf(stored), pack: packed, signatures: signed }, signal)
      options.onProgress(all, all, pack.sizeBytes)
      return { ...outcome, packBytesSent: pack.sizeBytes, catalogSent: true }
    } finally {
      await rm(path, { force: true })
    }
  }

  async #manifest(name: string, signal: AbortSignal): Promise<OciEnvironment | undefined> {
    const what = `manifests/${name}`
    const request = { method: 'GET' as const, headers: { accept: MANIFEST_TYPE }, what }
    const answer = await this.registry.request(what, request, 'pull,push', signal)
    if (answer.status === 200) return decodeManifest(await collect(answer.bytes(), MANIFEST_BYTES_MAX, what))
    answer.discard()
    if (answer.status === 404) return undefined
    throw this.#failed(what, answer.status)
  }

  async #signaturesOf(there: OciEnvironment | undefined, signal: AbortSignal): Promise<Uint8Array | undefined> {
    if (there?.signatures === undefined) return undefined
    const what = `blobs/${there.signatures.digest}`
    const answer = await this.registry.request(what, { method: 'GET', what }, 'pull,push', signal)
    if (answer.status === 200) return collect(answer.bytes(), SIGNATURES_BYTES_MAX, `${what} of ${this.name}`)
    answer.discard()
    return undefined
  }

  async #upload({ digest }: OciBlob, content: TreeContent, signal: AbortSignal): Promise<void> {
    const what = `blobs/${digest}`
    const held = await this.registry.request(what, { method: 'HEAD', what }, 'pull,push', signal)
    held.discard()
    if (held.status === 200) return
    if (held.status !== 404) throw this.#failed(what, held.status)
    const uploads = 'blobs/uploads/'
    const begun = await this.registry.request(uploads, { method: 'POST', what: uploads }, 'pull,push', signal)
    begun.discard()
    const place = URL.parse(begun.headers.get('location') ?? '', this.registry.address(uploads).url.href)
    if (begun.status !== 202 || place === null || !/^https?:$/.test(place.protocol))
      throw this.#failed(what, begun.status)
    place.searchParams.set('digest', digest)
    const body = content.kind === 'bytes' ? content.bytes : Bun.file(content.path)
    const headers = { 'content-type': 'application/octet-stream' }
    const done = await this.registry.request(place, { method: 'PUT', headers, body, what }, 'pull,push', signal)
    done.discard()
    if (done.status !== 201) throw this.#failed(what, done.status)
  }

  async #putManifest(name: string, environment: OciEnvironment, signal: AbortSignal): Promise<void> {
    const what = `manifests/${name}`
    const body = encodeManifest(environment)
    const request = { method: 'PUT' as const, headers: { 'content-type': MANIFEST_TYPE }, body, what }
    const done = await this.registry.request(what, request, 'pull,push', signal)
    done.discard()
    if (done.status !== 201) throw this.#failed(what, done.status)
  }

  #failed(what: string, status: number): SourceFailedError {
    const refused = status === 401 || status === 403
    return new SourceFailedError(`${this.name} does not take ${what} (status ${status})`, {
      code: refused ? 'source-refused' : 'source-read-only',
      hint: refused
        ? 'look at credentials-env or credentials-file of that entry: they hold user:password, or a token'
        : 'look whether that registry takes pushes, and of this repository',
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

async function fileDigest(path: string, signal: AbortSignal): Promise<string> {
  const hasher = sha256Hasher()
  for await (const chunk of Bun.file(path).stream()) {
    signal.throwIfAborted()
    hasher.update(chunk)
  }
  return hasher.digest()
}
