/** `holo-peer daemon`: serve this machine's environments to its fleets. */
import { Command, InvalidArgumentError } from 'commander'
import type { CommandContext } from './context.ts'
import { counted } from './output.ts'

export function daemonCommand({ output, signal }: CommandContext): Command {
  return new Command('daemon')
    .description('announce the environments of this machine to its fleets, and serve them')
    .option('--port <number>', "UDP port of this machine's bootstrap node (default: 49737)", portOf)
    .action(async ({ port }: { readonly port?: number }) => {
      const { runDaemon } = await import('../app/daemon.ts')
      await runDaemon(
        port,
        (ready) => {
          const out = output()
          const value = { ok: true, ready: true, ...ready }
          // One line, since a reader waits for it while the daemon goes on.
          if (out.json) return out.line(JSON.stringify(value))
          out.result(value, [
            `Serving ${counted(ready.catalogs.length, 'environment')} to ${ready.fleets.length === 0 ? 'nobody: join a fleet with `holo-peer fleet join INVITE`' : ready.fleets.join(', ')}`,
            `  machine    ${ready.key}`,
            `  bootstrap  ${ready.addresses.join(', ')}`,
            ...(ready.door === undefined ? [] : [`  rcc        RCC_REMOTE_ORIGIN=${ready.door}`]),
          ])
        },
        signal,
      )
    })
}

function portOf(text: string): number {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw new InvalidArgumentError('It must be from 1 to 65535.')
  return port
}
