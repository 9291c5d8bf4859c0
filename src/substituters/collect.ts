/** All bytes of a stream in one piece, within a bound. */
import { SourceFailedError } from './source-failed-error.ts'

/**
 * @param bytesMax what the stream may have
 * @param what it is and whose, in the message: `catalog/… of https://…`
 * @throws {SourceFailedError} it has more; whatever the stream throws
 */
export async function collect(bytes: AsyncIterable<Uint8Array>, bytesMax: number, what: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let total = 0
  for await (const chunk of bytes) {
    total += chunk.byteLength
    if (total > bytesMax) {
      throw new SourceFailedError(`${what} has more than the ${bytesMax} bytes that it may have`, {
        code: 'source-invalid',
      })
    }
    chunks.push(chunk)
  }
  const [only] = chunks
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, total)
}
