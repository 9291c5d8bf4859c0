/**
 * The only writer to stdout and stderr. Results go to stdout, everything else to stderr; with `--json` stdout carries
 * one JSON document and nothing else. Colour only on a terminal, and never where NO_COLOR is set.
 */
import * as fs from 'node:fs'
import { styleText } from 'node:util'
import type { SingleBar } from 'cli-progress'
import { pauseThread } from '../base/clock.ts'
import {
  EXIT_BUG,
  EXIT_CODES,
  EXIT_INTERRUPTED,
  HoloError,
  type HoloErrorOptions,
  messageOf,
  systemCodeOf,
} from '../base/errors.ts'

type Style = Parameters<typeof styleText>[0]

const PLAIN_PROGRESS_EVERY_MS = 3_000
const BAR_EVERY_MS = 50
const STDOUT = 1
/** How long to leave a slow reader alone before the rest is offered again. */
const FULL_PIPE_PAUSE_MS = 5

/** One moment of a long operation. */
export interface Progress {
  /** The verb before the bar: `fetching`. */
  readonly doing: string
  readonly done: number
  readonly total: number
  /** What stands behind the counts: `12.3 MB at 45 MB/s from 2 peers`. */
  readonly detail: string
}

/** A command that came to its end without having done all: its result is shown like any other, then the error. */
export class IncompleteError extends HoloError {
  constructor(
    message: string,
    options: HoloErrorOptions,
    readonly result: { readonly value: object; readonly lines: readonly string[] },
  ) {
    super(message, options)
  }
}

export interface OutputOptions {
  readonly json: boolean
  /** Only results and errors. */
  readonly quiet: boolean
}

export class Output {
  readonly #options: OutputOptions
  #bar: SingleBar | undefined
  // What takes less than the first interval needs no line.
  #lastProgressMs = performance.now()

  constructor(options: OutputOptions) {
    this.#options = options
  }

  /** Asked late: the streams of `process` take some milliseconds to be made, and with `--json` nobody needs them. */
  get #color(): boolean {
    return !process.env.NO_COLOR && Boolean(process.stdout.isTTY)
  }

  get json(): boolean {
    return this.#options.json
  }

  style(style: Style, text: string): string {
    return this.#color ? styleText(style, text, { validateStream: false }) : text
  }

  /** The result of a command: `lines` for people, `value` for `--json`. */
  result(value: unknown, lines: readonly string[]): void {
    this.#clearBar()
    writeOut(this.json ? `${JSON.stringify(value, undefined, 2)}\n` : lines.map((line) => `${line}\n`).join(''))
  }

  /** One line of a command that goes on. */
  line(text: string): void {
    writeOut(`${text}\n`)
  }

  /** Something that a person should see beside the result. */
  note(text: string): void {
    if (this.#options.quiet) return
    this.#clearBar()
    process.stderr.write(`${printable(text)}\n`)
  }

  warn(text: string): void {
    this.#clearBar()
    process.stderr.write(`${this.style('yellow', 'warning:')} ${sentence(text)}\n`)
  }

  /**
   * A bar on a terminal, elsewhere a line every few seconds.
   *
   * @param moment asked for only where it is shown: there are thousands of them
   */
  async progress(moment: () => Progress): Promise<void> {
    if (this.#options.quiet || this.json) return
    const isBar = Boolean(process.stderr.isTTY)
    const nowMs = performance.now()
    if (nowMs - this.#lastProgressMs < (isBar ? BAR_EVERY_MS : PLAIN_PROGRESS_EVERY_MS)) return
    const { doing, done, total, detail } = moment()
    if (total === 0) return
    this.#lastProgressMs = nowMs
    if (!isBar) {
      process.stderr.write(`${doing}: ${done} of ${total} blobs, ${detail}\n`)
      return
    }
    if (this.#bar === undefined) {
      const { SingleBar } = await import('cli-progress')
      this.#bar = new SingleBar({
        format: '{doing} {bar} {value}/{total} blobs, {detail}',
        barsize: 20,
        hideCursor: true,
        clearOnComplete: true,
        barCompleteChar: '█',
        barIncompleteChar: '░',
        stream: process.stderr,
      })
      this.#bar.start(total, done, { doing, detail })
    }
    this.#bar.setTotal(total)
    this.#bar.update(done, { doing, detail })
  }

  /** Report `error`. @returns the exit status that the README's table gives it */
  failure(error: unknown, interrupted: boolean): number {
    this.#clearBar()
    if (interrupted) {
      if (this.json)
        this.#jsonFailure({ code: 'interrupted', blame: 'interrupted', message: messageOf(error) }, EXIT_INTERRUPTED)
      else process.stderr.write(`${messageOf(error)}; run the same command again to continue\n`)
      return EXIT_INTERRUPTED
    }
    if (error instanceof HoloError) {
      const { code, blame, message, hint } = error
      const result = error instanceof IncompleteError ? error.result : undefined
      if (this.json)
        this.#jsonFailure(
          { code, blame, message, ...(hint === undefined ? {} : { hint }) },
          EXIT_CODES[blame],
          result?.value,
        )
      else {
        for (const line of result?.lines ?? []) this.line(line)
        process.stderr.write(`${this.style('red', 'error:')} ${sentence(message)}\n`)
        if (hint !== undefined) process.stderr.write(`  ${this.style('bold', 'to mend it:')} ${printable(hint)}\n`)
      }
      return EXIT_CODES[blame]
    }
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
    if (this.json) this.#jsonFailure({ code: 'bug', blame: 'bug', message: messageOf(error) }, EXIT_BUG)
    process.stderr.write(`${this.style('red', 'bug in holo-peer:')} ${stack}\n`)
    return EXIT_BUG
  }

  #jsonFailure(error: Record<string, string>, exitCode: number, result: object = {}): void {
    writeOut(`${JSON.stringify({ ok: false, exitCode, error, ...result }, undefined, 2)}\n`)
  }

  #clearBar(): void {
    this.#bar?.stop()
    this.#bar = undefined
  }
}

/**
 * Write to stdout and be done, also where the process ends right after: a stream would keep for later what a full pipe
 * does not take, and costs some milliseconds to make.
 */
function writeOut(text: string): void {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.byteLength; ) {
    try {
      at += fs.writeSync(STDOUT, bytes, at)
    } catch (error) {
      // The reader has gone, or never was: nobody is left to tell.
      if (systemCodeOf(error) !== 'EAGAIN') return
      pauseThread(FULL_PIPE_PAUSE_MS)
    }
  }
}

/** Messages that begin with a source's name begin small. */
function sentence(text: string): string {
  return printable(text.charAt(0).toUpperCase() + text.slice(1))
}

/** Text that others made up, such as names in a catalog: a terminal is shown its control characters, not given them. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB']

/** Bytes for people, decimal units: `62.1 MB`. */
export function humanBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000
    unit++
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(value < 10 ? 2 : 1)} ${UNITS[unit]}`
}

/** Milliseconds for people: `820 ms`, `1.24 s`. */
export function humanMs(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`
}

/** `1 blob`, `4,512 blobs`. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? noun : plural}`
}

/** The note of a command that waits for a lock. @param holders phrases, none where nobody is known */
export function waitingFor(lock: string, holders: readonly string[]): string {
  return `waiting for ${holders.length === 0 ? 'another process' : holders.join(', ')} to release ${lock}`
}
