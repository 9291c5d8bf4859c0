/** The door between applying a plan and the two ways of writing it: by system calls, or by what every system has. */
import type { LocalBlobs } from '../blob/local.ts'
import type { BlobRef } from '../blob/source.ts'
import type { Verification } from '../catalog/strategies.ts'
import type { DirectoryStep, FileStep } from './plan.ts'
import type { Way } from './strategy.ts'

export interface Placing {
  readonly blobs: LocalBlobs
  readonly verification: Verification
}

/** How a file is to come to its content; asked once for each file of a plan, in order. */
export type WayOf = (step: DirectoryStep, file: FileStep) => Way

/** Blobs of the library that could not be used. */
export interface UnusableBlobs {
  readonly corrupt: readonly BlobRef[]
  readonly absent: readonly BlobRef[]
}

/** One plan being written. Its steps are called in this order; each counts into the report. */
export interface PlacingRun extends AsyncDisposable {
  /** Clear what stands in the way, make directories, parents first, and links. Placing may begin meanwhile. */
  prepare(signal: AbortSignal): Promise<void>
  /** @throws {HoloError} blame `host`: what was placed stays; `signal.reason` once `signal` aborts */
  place(signal: AbortSignal): Promise<UnusableBlobs>
  /** Set the times of directories. */
  settle(): void
}
