/** What this binary is. */
import { version } from '../../package.json'

/** Short hash of the commit, put in by the build. */
declare const HOLO_PEER_COMMIT: string | undefined

export const VERSION: string = version

/** `0.1.0 (1a2b3c4d5e6f, Bun 1.4.5, linux-x64)` */
export function versionLine(): string {
  const commit = typeof HOLO_PEER_COMMIT === 'string' && HOLO_PEER_COMMIT !== '' ? HOLO_PEER_COMMIT : 'from source'
  return `${VERSION} (${commit}, Bun ${Bun.version}, ${process.platform}-${process.arch})`
}
