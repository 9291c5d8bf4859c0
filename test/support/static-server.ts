/** A web server over a directory, as small as one can be: GET, HEAD and PUT, ranges, ETag. */
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'

export interface StaticServer extends Disposable {
  readonly url: URL
}

/** @param authorization what a request has to bear; undefined: anybody may read and write */
export function staticServer(directory: string, authorization?: string): StaticServer {
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    maxRequestBodySize: 1 << 30,
    fetch: async (request) => {
      if (authorization !== undefined && request.headers.get('authorization') !== authorization) {
        return new Response('no', { status: 401 })
      }
      const path = join(directory, new URL(request.url).pathname)
      if (request.method === 'PUT') {
        fs.mkdirSync(dirname(path), { recursive: true })
        fs.writeFileSync(`${path}.part`, new Uint8Array(await request.arrayBuffer()))
        fs.renameSync(`${path}.part`, path)
        return new Response(null, { status: 201 })
      }
      const status = fs.statSync(path, { throwIfNoEntry: false })
      if (status === undefined || !status.isFile()) return new Response('absent', { status: 404 })
      return answer(request, fs.readFileSync(path), `"${status.mtimeMs}-${status.size}"`)
    },
  })
  return { url: server.url, [Symbol.dispose]: () => void server.stop(true) }
}

function answer(request: Request, bytes: Uint8Array<ArrayBuffer>, etag: string): Response {
  const headers = { etag, 'accept-ranges': 'bytes' }
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.get('range') ?? '')
  const same = request.headers.get('if-range')
  if (range === null || (same !== null && same !== etag)) return new Response(bytes, { headers })
  const from = Number(range[1])
  const to = Math.min(Number(range[2]), bytes.byteLength - 1)
  if (from > to) return new Response('', { status: 416 })
  return new Response(bytes.subarray(from, to + 1), {
    status: 206,
    headers: { ...headers, 'content-range': `bytes ${from}-${to}/${bytes.byteLength}` },
  })
}
