/**
 * zod, as all rooms use it: not compiled, since most schemas serve once or twice in a process, and those of the control
 * socket are small.
 */
import { z } from 'zod'

z.config({ jitless: true })

export { z }
