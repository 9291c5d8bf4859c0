/**
 * An environment as an OCI image manifest (docs/substituters.md, "OCI"): which layers are its catalog, its pack and its
 * signatures. Pure; OCI image specification 1.1, "Image Manifest".
 */
import { sha256Of } from '../blob/digest.ts'

export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
const ARTIFACT_TYPE = 'application/vnd.holo-peer.environment.v1'
const LAYER_TYPES = {
  catalog: 'application/vnd.holo-peer.catalog.v1+gzip',
  pack: 'application/vnd.holo-peer.pack.v1',
  signatures: 'application/vnd.holo-peer.signatures.v1',
} as const
const EMPTY_CONFIG_TYPE = 'application/vnd.oci.empty.v1+json'
/** What a manifest without a configuration names in its place. */
export const EMPTY_CONFIG = Buffer.from('{}')

/** A blob of a registry. */
export interface OciBlob {
  /** `sha256:` and 64 hex digits. */
  readonly digest: string
  readonly sizeBytes: number
}

export interface OciEnvironment {
  readonly catalog: OciBlob
  readonly pack: OciBlob
  readonly signatures: OciBlob | undefined
}

/** @returns the name of these bytes in a registry */
export function ociBlobOf(bytes: Uint8Array): OciBlob {
  return { digest: `sha256:${sha256Of(bytes)}`, sizeBytes: bytes.byteLength }
}

export function encodeManifest({ catalog, pack, signatures }: OciEnvironment): Uint8Array {
  const layer = (type: string, { digest, sizeBytes }: OciBlob) => ({ mediaType: type, digest, size: sizeBytes })
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    artifactType: ARTIFACT_TYPE,
    config: layer(EMPTY_CONFIG_TYPE, ociBlobOf(EMPTY_CONFIG)),
    layers: [
      layer(LAYER_TYPES.catalog, catalog),
      layer(LAYER_TYPES.pack, pack),
      ...(signatures === undefined ? [] : [layer(LAYER_TYPES.signatures, signatures)]),
    ],
  }
  return Buffer.from(JSON.stringify(manifest))
}

/** @returns undefined where it is no manifest of an environment */
export function decodeManifest(bytes: Uint8Array): OciEnvironment | undefined {
  let manifest: unknown
  try {
    manifest = JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch {
    return undefined
  }
  if (!isRecord(manifest) || !Array.isArray(manifest.layers)) return undefined
  const { layers } = manifest
  const find = (type: string) => layers.map((layer) => blobOf(layer, type)).find((blob) => blob !== undefined)
  const catalog = find(LAYER_TYPES.catalog)
  const pack = find(LAYER_TYPES.pack)
  if (catalog === undefined || pack === undefined) return undefined
  return { catalog, pack, signatures: find(LAYER_TYPES.signatures) }
}

function blobOf(layer: unknown, type: string): OciBlob | undefined {
  if (!isRecord(layer) || layer.mediaType !== type) return undefined
  const { digest, size } = layer
  if (typeof digest !== 'string' || !/^sha256:[0-9a-f]{64}$/.test(digest)) return undefined
  return typeof size === 'number' && Number.isSafeInteger(size) && size >= 0 ? { digest, sizeBytes: size } : undefined
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
