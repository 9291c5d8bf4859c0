/**
 * Whether anybody answers at a TCP address, soon: so that a host that is gone costs a moment and not the patience that a
 * slow answer deserves.
 */
import { deadline } from '../base/clock.ts'
import { abortable } from '../base/concurrency.ts'

/**
 * Open a connection and close it.
 *
 * @throws whatever the system says of the name or the address; an Error after `ms`; `signal.reason`
 */
export async function dial(host: string, port: number, ms: number, signal: AbortSignal): Promise<void> {
  const limit = deadline(ms, new Error(`no connection within ${ms} ms`), signal)
  try {
    const opened = Bun.connect({ hostname: host, port, socket: { data: () => {} } })
    // Also where it opens after we have left.
    opened.then(
      (socket) => socket.end(),
      () => {},
    )
    await abortable(opened, limit.signal)
  } finally {
    limit.clear()
  }
}
