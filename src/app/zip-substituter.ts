/** A hololib.zip on a share or a stick as a substituter: opened when it is asked first, closed at the end. */
import { HoloError } from '../base/errors.ts'
import { ZipSource } from '../store/zip-source.ts'
import { SourceFailedError } from '../substituters/source-failed-error.ts'
import type { Substituter } from '../substituters/substituter.ts'

/** @param name as in every message @param path absolute */
export function zipSubstituter(name: string, path: string): Substituter {
  let opened: Promise<ZipSource> | undefined
  const zip = async (): Promise<ZipSource> => {
    opened ??= ZipSource.open(path)
    try {
      return await opened
    } catch (error) {
      // The stick may be plugged in later.
      opened = undefined
      throw asFailed(name, error)
    }
  }
  return {
    name,
    find: async (catalog, signal) => {
      signal.throwIfAborted()
      const source = await zip()
      try {
        const stored = await source.catalog(catalog)
        return stored === undefined ? undefined : { stored, signatures: undefined }
      } catch (error) {
        throw asFailed(name, error)
      }
    },
    has: async (digests) => (await zip()).has(digests),
    get: async (ref, signal) => {
      const stream = await (await zip()).get(ref, signal)
      return stream === undefined ? undefined : { ...stream, source: name }
    },
    deliver: async () => undefined,
    [Symbol.asyncDispose]: async () => {
      const source = await opened?.catch(() => undefined)
      await source?.[Symbol.asyncDispose]()
    },
  }
}

/** A zip that is not there, or damaged, is no bad input here: the next source is asked. */
function asFailed(name: string, error: unknown): unknown {
  if (!(error instanceof HoloError) || error.blame === 'source') return error
  return new SourceFailedError(`${name} cannot be used: ${error.message}`, {
    code: 'source-invalid',
    hint: 'look whether that share or stick is mounted, or export the file again',
    cause: error,
  })
}
