/** A real S3 server (moto, from PyPI), with one bucket. */
import { S3Client } from 'bun'
import { answers, freePort } from './nginx.ts'

/** Why there is no moto here, or undefined where there is. */
export function motoObstacle(): string | undefined {
  return Bun.which('moto_server') === null ? 'moto_server is not installed (pip install "moto[server,s3]")' : undefined
}

export interface Moto extends AsyncDisposable {
  readonly url: URL
}

/** @param bucket is made; `public`: anybody may read it */
export async function startMoto(bucket: string): Promise<Moto> {
  const port = freePort()
  const child = Bun.spawn(['moto_server', '-H', '127.0.0.1', '-p', String(port)], { stdout: 'ignore', stderr: 'pipe' })
  const url = new URL(`http://127.0.0.1:${port}/`)
  await answers(url, child)
  const made = await fetch(new URL(bucket, url.href).href, { method: 'PUT', headers: { authorization: signature } })
  if (!made.ok) throw new Error(`moto made no bucket: ${made.status} ${await made.text()}`)
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM')
      await child.exited
    },
  }
}

/** Enough for moto, which goes by the key's name only. */
const signature = 'AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0'

export function clientOf(url: URL, bucket: string): S3Client {
  return new S3Client({ bucket, endpoint: url.href.replace(/\/$/, ''), accessKeyId: 'robot', secretAccessKey: 's' })
}
