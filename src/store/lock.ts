/**
 * rcc's lock files, held compatibly with a running rcc (formats.md §10).
 *
 * Attempts do not block but are repeated after short sleeps: a flock that blocks in a Worker cannot be called off when
 * the signal aborts, keeps the process from ending, and may still get the lock after its caller has left. The price is
 * up to `LOCK_RETRY_MS` of delay. Descriptors are close-on-exec: a robot that we start does not inherit a lock.
 */
import * as fs from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { type Clock, repeat, systemClock } from '../base/clock.ts'
import { HoloError, hostError } from '../base/errors.ts'
import type { HeldLock } from '../base/held-lock.ts'
import { LOCK_NOTE_RENEWAL_MS, LOCK_NOTE_STALE_MS, LOCK_RETRY_MS } from '../base/limits.ts'
import { PRIVATE_DIRECTORY_MODE, SHARED_DIRECTORY_MODE } from '../catalog/layout.ts'
import { tryFlock } from './flock.ts'

const O_CLOEXEC = process.platform === 'darwin' ? 0x1000000 : 0o2000000

/** Who holds a lock, as rcc tells other users of the machine; informational. */
export interface LockNote {
  /** rcc's `pids/` directory. */
  readonly directory: string
  /** The controller as it was given, `user` …: rcc leaves out its own prefix here. */
  readonly controller: string
  readonly space: string
  readonly username: string
}

export interface LockOptions {
  /** How long to wait for another holder; 0 tries once. */
  readonly waitMs: number
  /** Shared holotree: every user of the machine may take the lock. */
  readonly shared: boolean
  /** Where notes of holders are read and ours is left. */
  readonly note?: LockNote
  readonly clock?: Clock
  /** Called once, when the first attempt found the lock held. @param holders as in the error */
  readonly onWait?: (holders: readonly string[]) => void
}

/**
 * Take the exclusive lock on `path`, which is made where it does not exist and never removed.
 *
 * @throws {HoloError} blame `locked`, code `lock-held`: still held by another process after `waitMs`
 * @throws {HoloError} blame `host`: the file cannot be opened
 * @throws `signal.reason`, unwrapped, once `signal` aborts
 */
export async function acquireLock(path: string, options: LockOptions, signal: AbortSignal): Promise<HeldLock> {
  const clock = options.clock ?? systemClock
  signal.throwIfAborted()
  const descriptor = openLockFile(path, options.shared)
  try {
    const startedMs = clock.nowMs()
    let told = false
    while (!tryFlock(descriptor)) {
      const waitedMs = clock.nowMs() - startedMs
      if (waitedMs >= options.waitMs) throw heldError(path, waitedMs, holdersOf(path, options.note, clock))
      if (!told) options.onWait?.(holdersOf(path, options.note, clock))
      told = true
      await clock.sleep(Math.min(LOCK_RETRY_MS, options.waitMs - waitedMs), signal)
    }
  } catch (error) {
    fs.closeSync(descriptor)
    throw error
  }
  const withdrawNote = leaveNote(path, options.note)
  let released = false
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      if (released) return
      released = true
      withdrawNote()
      // Closing releases: nobody else has this open file.
      fs.closeSync(descriptor)
    },
  }
}

/** Unlike rcc we neither truncate the file nor follow a link: in a shared holotree anyone could point it elsewhere. */
function openLockFile(path: string, shared: boolean): number {
  const flags = fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_NOFOLLOW | O_CLOEXEC
  try {
    fs.mkdirSync(dirname(path), { recursive: true, mode: shared ? SHARED_DIRECTORY_MODE : PRIVATE_DIRECTORY_MODE })
    const descriptor = fs.openSync(path, flags, 0o666)
    if (shared && (fs.fstatSync(descriptor).mode & 0o666) !== 0o666) {
      try {
        fs.fchmodSync(descriptor, 0o666)
      } catch {
        // Another user's file: what matters is that it could be opened.
      }
    }
    return descriptor
  } catch (error) {
    throw hostError(`open the lock file ${path}`, error)
  }
}

function heldError(path: string, waitedMs: number, holders: readonly string[]): HoloError {
  const who = holders.length === 0 ? 'another process' : holders.join(', ')
  const waited = waitedMs < 1000 ? '' : ` after ${Math.round(waitedMs / 1000)} s`
  return new HoloError(`The lock ${path} is still held by ${who}${waited}`, {
    code: 'lock-held',
    blame: 'locked',
    hint: 'wait until that rcc or holo-peer has finished, then run the same command again',
  })
}

/** Fresh notes on `path`, one phrase each: `controller user (process 4711, user robot)`. */
function holdersOf(path: string, note: LockNote | undefined, clock: Clock): string[] {
  if (note === undefined) return []
  const holders: string[] = []
  try {
    for (const name of fs.readdirSync(note.directory)) {
      const [controller, , , pid, username, lockName, ...rest] = name.split('___')
      if (lockName !== notePart(basename(path)) || rest.length > 0) continue
      const ageMs = clock.wallMs() - fs.statSync(join(note.directory, name)).mtimeMs
      if (ageMs < LOCK_NOTE_STALE_MS) holders.push(`controller ${controller} (process ${pid}, user ${username})`)
    }
  } catch {
    // No notes, or one that vanished while we looked: they are informational.
  }
  return holders
}

/** Leave a note like rcc's and renew it. @returns ends the renewal and removes the note */
function leaveNote(path: string, note: LockNote | undefined): () => void {
  if (note === undefined) return () => {}
  const parts = [note.controller, `${process.ppid}`, note.space, `${process.pid}`, note.username, basename(path)]
  const file = join(note.directory, parts.map(notePart).join('___'))
  const quietly = (work: () => void) => {
    try {
      work()
    } catch {
      // A note that cannot be written or removed must not fail the work under the lock.
    }
  }
  const write = () => quietly(() => fs.writeFileSync(file, ''))
  write()
  const stop = repeat(LOCK_NOTE_RENEWAL_MS, write)
  return () => {
    stop()
    quietly(() => fs.unlinkSync(file))
  }
}

function notePart(text: string): string {
  return text.trim().replace(/[\s/\\_]+/g, '_')
}
