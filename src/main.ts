/** Entry of the compiled binary: argv in, exit status out, nothing else. */
import { takeRuntimeOptions } from './base/runtime-options.ts'

takeRuntimeOptions(process.argv)
// Loaded only now, or a process that starts itself anew would load it twice.
import('./cli/run.ts')
  .then(({ runCommandLine }) => runCommandLine(process.argv))
  // Exits by itself: a destroyed swarm may leave sockets that would keep the process for some seconds.
  .then((status) => process.exit(status))
