/**
 * The Worker of `optimize`: recodes the blobs that it is given, batch by batch, and answers each batch once.
 *
 * An entry of its own, in a checkout and in the compiled binary (base/worker-entry.ts). It ends when it is terminated.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { nextTurn } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import { blobPath, libraryDirectory } from '../catalog/layout.ts'
import { LibraryFiles } from './library-files.ts'
import { recodeBlob } from './recode-blob.ts'
import type { RecodeAnswer, RecodedBlob, RecodeRequest, RecodeTask } from './recode-lane.ts'

const { roots, to, write } = workerData as RecodeTask
const files = new LibraryFiles(roots.shared)
const temporaries = libraryDirectory(roots)
const stop = new AbortController()

async function answerTo({ digests }: Extract<RecodeRequest, { kind: 'batch' }>): Promise<RecodeAnswer> {
  const results: RecodedBlob[] = []
  try {
    for (const digest of digests) {
      const place = { files, temporaries, path: blobPath(roots, digest) }
      results.push({ digest, recoded: await recodeBlob(place, digest, { to, write }, stop.signal) })
      // So that a word to stop is heard between two blobs.
      await nextTurn()
    }
    return { kind: 'done', results }
  } catch (error) {
    if (stop.signal.aborted) return { kind: 'stopped', results }
    if (!(error instanceof HoloError))
      return { kind: 'crashed', results, stack: error instanceof Error ? (error.stack ?? '') : String(error) }
    const { message, code, blame, hint } = error
    return { kind: 'failed', results, error: { message, code, blame, hint } }
  }
}

parentPort?.on('message', (request: RecodeRequest) => {
  if (request.kind === 'stop') stop.abort(new Error('stopped'))
  else void answerTo(request).then((answer) => parentPort?.postMessage(answer))
})
