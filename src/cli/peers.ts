/** `holo-peer peers`: the machines that the daemon is connected with. */
import { Command } from 'commander'
import type { CommandContext } from './context.ts'
import { counted } from './output.ts'

export function peersCommand({ output, signal }: CommandContext): Command {
  return new Command('peers').description('list the machines that the daemon is connected with').action(async () => {
    const { listPeers } = await import('../app/peers.ts')
    const { thisMachine } = await import('../app/machine.ts')
    const peers = await listPeers(thisMachine(), signal)
    output().result(
      { ok: true, peers },
      peers.length === 0
        ? ['Nobody: no other machine of the fleet is connected.']
        : table([
            ['MACHINE', 'ADDRESS', 'ROUND TRIP', 'ENVIRONMENTS'],
            ...peers.map(({ fingerprint, address, roundTripMs, catalogs, role }) => [
              fingerprint,
              address,
              roundTripMs === undefined ? '–' : roundTripMs < 1 ? '< 1 ms' : `${Math.round(roundTripMs)} ms`,
              role === 'client' ? 'a command' : counted(catalogs, 'environment'),
            ]),
          ]),
    )
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
