/** What every row is measured with. */
import type { Form } from '../restore/home.ts'
import type { Site } from './site.ts'

export interface Measuring {
  readonly site: Site
  readonly pairs: number
  /** In which the seed of ours has its blobs, where a row does not depend on it. */
  readonly form: Form | undefined
  readonly signal: AbortSignal
}
