// Goal: whoever spoke to rccremote hears the same from us. Method: the same requests to both, on the same library.
import { expect } from 'bun:test'
import { join } from 'node:path'
import { unzipSync } from 'fflate'
import { doorOf, exchange, heard, recordedFile, recordedLibrary, request } from '../support/door-of.ts'
import { smallCold, TemporaryDirectory } from '../support/golden.ts'
import { rccremoteTest, sharedHolotree, startRccremote } from '../support/rccremote.ts'

const v1 = smallCold('gzip', 1).name
const v2 = smallCold('gzip', 2).name
const list = recordedFile('parts-v1.txt').toString()
const some = list.split('\n').slice(0, 5)
const unknown = `${'0'.repeat(16)}v12.linux_amd64`

/** Requests, and what is the same in the answers to them; rccremote gets each list once only, or it mixes up catalogs. */
const requests: readonly (readonly [line: string, body?: string])[] = [
  ['GET /'],
  ['GET /parts'],
  ['GET /nope'],
  ...[v1, v2, unknown, '..', 'nonexistv12.linux_amd64', `a/b/${v1}`, `${v1}/`, `${v1}.info`, ''].flatMap(
    (name) => [[`GET /parts/${name}`]] as const,
  ),
  [`HEAD /parts/${v1}`],
  [`PUT /parts/${v1}`],
  [`DELETE /delta/${v1}`],
  [`GET /delta/${v1}`],
  [`POST /delta/${v1}`, list],
  [`POST /delta/${v2}`, recordedFile('delta-request-v1-to-v2.txt').toString()],
  [`POST /delta/${v1}`, recordedFile('delta-request-mixed.txt').toString()],
  [`POST /delta/${v1}`, some.slice(0, 2).join('\r\n')],
  [
    `POST /delta/${v1}`,
    some
      .slice(1, 3)
      .map((digest) => `  library/aa/${digest}\t`)
      .join('\n'),
  ],
  [`POST /delta/${v1}`, `${some.slice(2, 4).join('\n\n')}\n\n`],
  [`POST /delta/${v1}`, `${some[4]}\nshort\n../../etc/passwd\n${'f'.repeat(64)}`],
  [`POST /delta/${unknown}`, list],
  [`POST //delta/${v1}`],
  [`GET /force/${unknown}`],
]

/** What a client acts on: a zip counts by what is in it, in its order. */
function meaning(bytes: Buffer): unknown {
  const { status, headers, body } = heard(bytes)
  if (headers['content-type'] === 'application/zip') {
    const members = Object.entries(unzipSync(body)).map(([name, content]) => `${name} ${Bun.hash(content)}`)
    return { status, ranges: headers['accept-ranges'], length: headers['content-length'] !== undefined, members }
  }
  // Go says the same once more in HTML.
  if (status === 307) return { status, location: headers.location }
  const chunked = headers['transfer-encoding'] === 'chunked'
  const text = chunked ? unchunked(body.toString()) : body.toString()
  return { status, type: headers['content-type'] ?? '', text }
}

function unchunked(text: string): string {
  const end = text.indexOf('\r\n')
  const length = Number.parseInt(text, 16)
  return length > 0 ? text.slice(end + 2, end + 2 + length) + unchunked(text.slice(end + 2 + length + 2)) : ''
}

rccremoteTest('the door answers what rccremote answers', async () => {
  using folder = new TemporaryDirectory()
  const library = recordedLibrary(join(folder.path, 'home'))
  await using reference = await startRccremote(sharedHolotree(library.roots.hololib, folder.path), folder.path)
  await using door = await doorOf(library)
  for (const [line, body = ''] of requests) {
    const asked = request(line, [], body)
    const [wanted, actual] = [await exchange(reference.port, asked), await exchange(door.port, asked)].map(meaning)
    expect({ line, ...(actual as object) }).toEqual({ line, ...(wanted as object) })
  }
})
