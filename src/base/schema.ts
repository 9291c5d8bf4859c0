/** zod, as all rooms use it: each schema serves once or twice in a process, and compiling it would take longer than that. */
import { z } from 'zod'

z.config({ jitless: true })

export { z }
