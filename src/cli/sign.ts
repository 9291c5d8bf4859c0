/** `holo-peer sign`: give one's word for environments of the library. */
import { Command, Option } from 'commander'
import type { SignedCatalog } from '../app/sign.ts'
import type { CommandContext } from './context.ts'

interface SignFlags {
  readonly robot?: string
  readonly key?: string
  readonly as: 'builder' | 'holder'
}

export function signCommand({ output, signal }: CommandContext): Command {
  return new Command('sign')
    .description('sign environments of the library, so that others know whose they are')
    .argument('[catalog...]', 'names of catalogs: <16 hex digits>v12.<platform>')
    .option('-r, --robot <file>', 'the environment of this robot.yaml, conda.yaml or package.yaml too')
    .option('--key <name>', "which signing key of `keys list`; default: the machine's own")
    .addOption(
      new Option('--as <role>', 'say that you made it, or only that you have it')
        .choices(['builder', 'holder'])
        .default('builder'),
    )
    .action(async (catalogs: readonly string[], { robot, key, as }: SignFlags) => {
      const out = output()
      const { sign } = await import('../app/sign.ts')
      const onSigned = (each: SignedCatalog) => out.json || out.line(lineOf(each))
      const signed = await sign({ catalogs, robotFile: robot, keyName: key, role: as }, onSigned, signal)
      if (out.json) out.result({ ok: true, signed }, [])
    })
}

function lineOf({ catalog, signer }: SignedCatalog): string {
  return `Signed ${catalog} as ${signer?.role} by ${signer?.name}`
}
