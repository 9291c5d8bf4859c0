/** Blobs and catalogs as a zip in the layout of rcc's hololib.zip (formats.md §12), made while it is sent. */
import { type Sha256Digest, sha256Of } from '../blob/digest.ts'
import type { StoredBlob } from '../blob/local.ts'
import { blobEntryName, catalogEntryName } from '../catalog/layout.ts'
import { contentAnswer, type DoorAnswer, type DoorRequest } from './answer.ts'
import type { DoorEnvironment, DoorLibrary } from './door-library.ts'
import { zipBytes } from './zip-bytes.ts'
import { ZipLayout, type ZipMember } from './zip-layout.ts'

export interface ZipContents {
  /** Distinct, in the order of the zip; those that are not held are left out. */
  readonly digests: readonly Sha256Digest[]
  /** Their catalogs stand behind all blobs, so that who unpacks half of it has no catalog without its blobs. */
  readonly environments: readonly DoorEnvironment[]
}

/**
 * @returns the answer, and how many of the blobs it leaves out
 * @throws {HoloError} blame `host`; `signal.reason` once `signal` aborts, also while the body is read
 */
export async function zipAnswer(
  request: DoorRequest,
  { digests, environments }: ZipContents,
  library: DoorLibrary,
  signal: AbortSignal,
): Promise<{ readonly answer: DoorAnswer; readonly absent: number }> {
  const { sizes, fingerprint } = await library.measure(digests, signal)
  const held: Sha256Digest[] = []
  const members: ZipMember[] = []
  for (const [index, digest] of digests.entries()) {
    const sizeBytes = sizes[index] ?? Number.NaN
    if (Number.isNaN(sizeBytes)) continue
    held.push(digest)
    members.push({ name: blobEntryName(digest), sizeBytes })
  }
  for (const { name, stored } of environments) {
    members.push({ name: catalogEntryName(name), sizeBytes: stored.byteLength })
  }
  const layout = new ZipLayout(members)
  const open = (index: number): StoredBlob | undefined => {
    const digest = held[index]
    if (digest !== undefined) return library.stored(digest)
    return inMemory(environments[index - held.length]?.stored ?? new Uint8Array(0))
  }
  const catalogs = environments.map(({ name, stored }) => `${name} ${sha256Of(stored)}`)
  const answer = contentAnswer(request, {
    type: 'application/zip',
    tag: sha256Of(Buffer.from([fingerprint, ...catalogs].join('\n'))),
    sizeBytes: layout.sizeBytes,
    bytes: (range) => zipBytes(layout, range, open, signal),
  })
  return { answer, absent: digests.length - held.length }
}

function inMemory(bytes: Uint8Array): StoredBlob {
  return {
    encoding: 'gzip',
    sizeBytes: bytes.byteLength,
    whole: () => bytes,
    bytes: async function* (from = 0) {
      yield bytes.subarray(from)
    },
    [Symbol.dispose]: () => {},
  }
}
