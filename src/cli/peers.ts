/** `holo-peer peers`: the machines that the daemon is connected with. */
import { Command } from 'commander'
import type { CommandContext } from './context.ts'
import { counted, humanBytes, printable } from './output.ts'

export function peersCommand({ output, signal }: CommandContext): Command {
  return new Command('peers').description('list the machines that the daemon is connected with').action(async () => {
    const { listPeers } = await import('../app/peers.ts')
    const { thisMachine } = await import('../app/machine.ts')
    const { peers, banned } = await listPeers(thisMachine(), signal)
    const connected =
      peers.length === 0
        ? ['Nobody: no other machine of the fleet is connected.']
        : table([
            ['MACHINE', 'ADDRESS', 'ROUND TRIP', 'ENVIRONMENTS', 'SENT TO IT'],
            ...peers.map(({ fingerprint, address, roundTripMs, catalogs, role, sentBytes }) => [
              fingerprint,
              address,
              roundTripMs === undefined ? '–' : roundTripMs < 1 ? '< 1 ms' : `${Math.round(roundTripMs)} ms`,
              role === 'client' ? 'a command' : counted(catalogs, 'environment'),
              humanBytes(sentBytes),
            ]),
          ])
    const shutOut = banned.flatMap(({ name, reason, until }) => [
      `Banned until ${until.slice(0, 16).replace('T', ' ')} UTC: ${printable(name)}`,
      `  ${printable(reason)}`,
    ])
    output().result({ ok: true, peers, banned }, [...connected, ...shutOut])
  })
}

/** Columns as wide as their widest cell. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
