/** A host with a real S3 server (moto) that holds what a library holds, and counts what leaves it. */
import * as fs from 'node:fs'
import { join } from 'node:path'
import type { FleetHost } from './fleet-hosts.ts'
import type { Lan } from './lan.ts'

const PORT = 5000
const BUCKET = 'environments'

export interface S3Host {
  /** What stands in `holo-peer.substituters`. */
  readonly entry: { readonly url: string; readonly trusted: boolean; readonly 'credentials-file': string }
  /** Bytes that have left the host so far, as Ethernet frames. */
  sentBytes(): number
  /** Limit its link, as `Lan.shape` does. */
  shape(megabits: number | undefined): void
}

/** Start the server on `host`, and push all that its library holds. */
export async function startS3(lan: Lan, { host, binary }: FleetHost): Promise<S3Host> {
  host.spawn(['moto_server', '-H', '0.0.0.0', '-p', String(PORT)])
  const endpoint = `http://${host.address}:${PORT}`
  const authorization =
    'authorization: AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0'
  for (;;) {
    const made = await host.run(['curl', '-sf', '-X', 'PUT', '-H', authorization, `${endpoint}/${BUCKET}`])
    if (made.exitCode === 0) break
    await Bun.sleep(100)
  }
  const credentials = join(host.folder, 's3-credentials')
  fs.writeFileSync(credentials, 'robot:secret', { mode: 0o600 })
  const url = `s3://${BUCKET}/fleet?endpoint=${encodeURIComponent(endpoint)}&region=eu-north-1`
  const pushed = await host.run([binary, 'push', url, '--credentials-file', credentials])
  if (pushed.exitCode !== 0) throw new Error(pushed.stderr)
  return {
    entry: { url, trusted: true, 'credentials-file': credentials },
    sentBytes: () => lan.traffic().get(host)?.sentBytes ?? 0,
    shape: (megabits) => lan.shape(host, megabits),
  }
}
