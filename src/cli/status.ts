/** `holo-peer status`: what the daemon of this library is, holds and does. */
import { Command } from 'commander'
import type { Status } from '../app/status.ts'
import type { CommandContext } from './context.ts'
import { counted, humanBytes, humanMs, type Output } from './output.ts'
import { publishedLines } from './published.ts'

/** Environments that are listed for people. */
const LISTED = 20

export function statusCommand({ output, signal }: CommandContext): Command {
  return new Command('status').description('say what the daemon is, holds and does').action(async () => {
    const { status } = await import('../app/status.ts')
    const { thisMachine } = await import('../app/machine.ts')
    const found = await status(thisMachine(), signal)
    const out = output()
    out.result({ ok: true, ...found, daemon: found.daemon ?? null }, lines(found, out))
  })
}

function lines({ library, fleets, daemon }: Status, out: Output): string[] {
  const row = (label: string, text: string) => `  ${label.padEnd(9)}${text}`
  const common = [row('library', library), row('fleets', fleets.length === 0 ? 'none' : fleets.join(', '))]
  if (daemon === undefined) return [out.style('bold', 'No daemon runs for this library.'), ...common]
  const { version, pid, key, port, lanePort, catalogs, published, peers, sentBytes } = daemon
  const { fetching, leases, banned, substituters } = daemon
  return [
    `${out.style('bold', `Daemon ${key}`)} (holo-peer ${version}, process ${pid})`,
    ...common,
    row('ports', `UDP ${port}, TCP ${lanePort}`),
    row(
      'serves',
      `${counted(catalogs.length, 'environment')} to ${counted(peers.length, 'peer')}; ${humanBytes(sentBytes)} sent`,
    ),
    ...published.slice(0, LISTED).flatMap((each) => [`    ${each.catalog}`, ...publishedLines(each, 6)]),
    ...(published.length > LISTED ? [row('', `and ${published.length - LISTED} more, all of them in --json`)] : []),
    row('fetches', fetching.length === 0 ? 'nothing' : ''),
    ...fetching.map(({ catalog, blobs, done, wireBytes }) =>
      row('', `${catalog}: ${done} of ${counted(blobs, 'blob')}, ${humanBytes(wireBytes)}`),
    ),
    ...leases.flatMap(({ catalog, holder }) => [
      row('', `${catalog}: brought by ${holder === null ? 'this machine, for its fleet' : ''}`),
      ...(holder === null ? [] : [row('', holder)]),
    ]),
    ...substituters.flatMap((source) => substituterLines(source, row)),
    ...(banned.length === 0 ? [] : [row('banned', `${counted(banned.length, 'machine')}, see \`holo-peer peers\``)]),
  ].map((line) => line.trimEnd())
}

/** One that failed last says why, also once it may be asked again. */
function substituterLines(
  { name, state, restsForMs, failures, lastError }: NonNullable<Status['daemon']>['substituters'][number],
  row: (label: string, text: string) => string,
): string[] {
  if (failures === 0) return [row('source', name)]
  const rest = state === 'resting' ? `, not asked for ${humanMs(restsForMs)}` : ''
  return [
    row('source', `${name}: failed ${failures === 1 ? 'once' : `${failures} times`}${rest}`),
    row('', lastError ?? ''),
  ]
}
