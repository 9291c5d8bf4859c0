/**
 * The section `holo-peer.limits` of settings.yaml: what this machine gives to its fleet, and takes, at most.
 */
import { parseRate, parseSize } from '../base/quantity.ts'
import { z } from '../base/schema.ts'
import { UPLOAD_WANTS_MAX } from '../base/upload-limits.ts'
import { DEFAULT_SETTINGS, type Settings } from './settings.ts'

const MEMORY_MIN = 64 * 1024
const MEMORY_MAX = 64 * 1024 * 1024

const rate = quantity(parseRate, 'must be written like 50 MB/s or 100 Mbit/s')
const size = quantity(parseSize, 'must be written like 512 MiB or 2 GB')

export const limitsSection = z
  .strictObject({
    upload: rate,
    download: rate,
    'wan-download': rate,
    slots: z.int().min(1).max(64),
    'slots-per-peer': z.int().min(1).max(UPLOAD_WANTS_MAX),
    'connection-memory': size.refine((bytes) => bytes >= MEMORY_MIN && bytes <= MEMORY_MAX, {
      error: 'must be from 64 KiB to 64 MiB',
    }),
    'piece-store': z.union([z.literal(0).transform(() => 0), size]),
  })
  .partial()

/** File over defaults. */
export function limitsSettings(file: z.infer<typeof limitsSection>): Settings['limits'] {
  const defaults = DEFAULT_SETTINGS.limits
  return {
    upload: file.upload ?? defaults.upload,
    download: file.download ?? defaults.download,
    wanDownload: file['wan-download'] ?? defaults.wanDownload,
    slots: file.slots ?? defaults.slots,
    slotsPerPeer: file['slots-per-peer'] ?? defaults.slotsPerPeer,
    connectionMemory: file['connection-memory'] ?? defaults.connectionMemory,
    pieceStore: file['piece-store'] ?? defaults.pieceStore,
  }
}

function quantity(parse: (text: string) => number | undefined, error: string) {
  return z.string().transform((text, context) => {
    const value = parse(text)
    if (value !== undefined) return value
    context.addIssue({ code: 'custom', message: error })
    return z.NEVER
  })
}
