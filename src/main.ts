/** Entry of the compiled binary: argv in, exit status out, nothing else. */
import { runCommandLine } from './cli/run.ts'

// Exits by itself: a destroyed swarm may leave sockets that would keep the process for some seconds.
runCommandLine(process.argv).then((status) => process.exit(status))
