/**
 * The sending side: one environment of this machine, brought to where others find it.
 */
import type { Sha256Digest } from '../blob/digest.ts'
import type { LocalBlobs } from '../blob/local.ts'
import type { Catalog, CatalogName } from '../catalog/tree.ts'
import { decodeSignature, decodeSignatures, encodeSignatures, signatureLines } from '../trust/signature-json.ts'

/** A complete environment of this machine. */
export interface PushedEnvironment {
  readonly name: CatalogName
  readonly catalog: Catalog
  /** Of the decoded JSON. */
  readonly sha256: Sha256Digest
  /** gzip'd JSON, as it lies in the library. */
  readonly stored: Uint8Array
  /** Who has signed it, in the form of `encodeSignatures`; undefined where nobody has. */
  readonly signatures: Uint8Array | undefined
  readonly blobs: LocalBlobs
}

export interface PushOptions {
  /** Look what is missing there, and send nothing. */
  readonly dryRun: boolean
  /** Directory for what has to be put together before it is sent; ours alone. */
  readonly spool: string
  /** @param done blobs that are there by now, of `all` */
  readonly onProgress: (done: number, all: number, sentBytes: number) => void
}

export interface PushOutcome {
  readonly catalog: CatalogName
  /** Distinct blobs of the catalog. */
  readonly blobs: number
  /** Those that were not there before, and their bytes. */
  readonly blobsSent: number
  readonly blobBytesSent: number
  /** Bytes of the pack, 0 where it was there; undefined in a dry run that would send it, since it is not made. */
  readonly packBytesSent: number | undefined
  /** False where the very same catalog was there. */
  readonly catalogSent: boolean
  /** Whether signatures were sent, or would be. */
  readonly signaturesSent: boolean
}

/** Where environments can be pushed to. */
export interface PushTarget extends AsyncDisposable {
  /** As in every message. */
  readonly name: string
  /**
   * Send what is missing there: blobs first, the catalog last. What was sent stays, and a call that failed is continued
   * by calling again; two at once do each other no harm.
   *
   * @throws {HoloError} blame `source`: the target fails, or takes nothing; blame `host` or `missing`: blobs of this
   *   machine; `signal.reason`
   */
  push(environment: PushedEnvironment, options: PushOptions, signal: AbortSignal): Promise<PushOutcome>
}

/**
 * Our signatures and those that are there of this very content, which others may have put there: of each key the later.
 * What was said of another catalog that bore the name would speak against this one.
 *
 * @returns undefined where that is what is there; no bytes at all where nobody has signed it
 */
export function signaturesToSend(
  { sha256, signatures: ours }: Pick<PushedEnvironment, 'sha256' | 'signatures'>,
  there: Uint8Array | undefined,
): Uint8Array | undefined {
  const lines = [ours, there].flatMap((file) => (file === undefined ? [] : signatureLines(file)))
  const fitting = lines.filter((line) => decodeSignature(line)?.statement.sha256 === sha256)
  const wanted = encodeSignatures(decodeSignatures(fitting))
  return inOneOrder(wanted) === inOneOrder(there ?? new Uint8Array(0)) ? undefined : wanted
}

function inOneOrder(file: Uint8Array): string {
  const lines = signatureLines(file).map((line) => Buffer.from(line).toString('latin1'))
  return lines.sort().join('\n')
}
