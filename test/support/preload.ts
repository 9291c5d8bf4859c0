/** Before every test file: hosts on a busy machine take longer than bun's 5 s; a hung test still ends. */
import { setDefaultTimeout } from 'bun:test'

setDefaultTimeout(120_000)
