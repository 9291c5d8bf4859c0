/**
 * 16 random hex digits, the same for as long as this process lives: rcc's `X-Rcc-Random-Identity` (formats.md §14), by
 * which a request is known that came back to its own maker, through whatever chain of servers.
 */
import { randomBytes } from 'node:crypto'

export const processIdentity: string = randomBytes(8).toString('hex')
