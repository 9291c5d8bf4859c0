/** A blob that a web server packed with zstd on its way: decoded with memory for some chunks, and no further than its size. */
import { Readable } from 'node:stream'
import { createZstdDecompress } from 'node:zlib'
import { messageOf } from '../base/errors.ts'
import { CHUNK_BYTES } from '../base/limits.ts'
import type { BlobRef } from '../blob/source.ts'
import { SourceFailedError } from './source-failed-error.ts'

/**
 * @param source its name, for messages
 * @throws {SourceFailedError} while iterating: it cannot be decoded, or has more bytes than `ref` says; whatever
 *   `packed` throws
 */
export async function* unzstd(
  packed: AsyncIterable<Uint8Array>,
  ref: BlobRef,
  source: string,
): AsyncGenerator<Uint8Array> {
  let failure: { thrown: unknown } | undefined
  async function* kept(): AsyncGenerator<Uint8Array> {
    try {
      yield* packed
    } catch (thrown) {
      failure = { thrown }
      throw thrown
    }
  }
  const input = Readable.from(kept(), { objectMode: false, highWaterMark: CHUNK_BYTES })
  const decoder = createZstdDecompress({ chunkSize: CHUNK_BYTES })
  input.on('error', (error) => decoder.destroy(error))
  let total = 0
  try {
    for await (const chunk of input.pipe(decoder)) {
      total += chunk.byteLength
      if (total > ref.sizeBytes) throw tooLong(ref, source)
      yield chunk
    }
  } catch (error) {
    if (failure !== undefined) throw failure.thrown
    if (error instanceof SourceFailedError) throw error
    throw new SourceFailedError(
      `${source} sent blob ${ref.digest} as zstd that cannot be decoded: ${messageOf(error)}`,
      {
        code: 'source-invalid',
      },
    )
  } finally {
    input.destroy()
    decoder.destroy()
  }
}

function tooLong(ref: BlobRef, source: string): SourceFailedError {
  return new SourceFailedError(`${source} sent blob ${ref.digest} as zstd of more than its ${ref.sizeBytes} bytes`, {
    code: 'source-invalid',
  })
}
