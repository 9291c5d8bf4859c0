/**
 * `bun run build [--target bun-linux-arm64] [--outfile FILE]`: compile src/main.ts to the one binary, dist/holo-peer.
 */
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: { target: { type: 'string' }, outfile: { type: 'string', default: 'dist/holo-peer' } },
})
const root = new URL('..', import.meta.url).pathname
const commit = Bun.spawnSync(['git', 'rev-parse', '--short=12', 'HEAD'], { cwd: root }).stdout.toString().trim()

const threads = ['restore/place-thread']
const windows = (values.target ?? (process.platform === 'win32' ? 'windows' : '')).includes('windows')

const built = await Bun.build({
  // Threads are modules of their own, found by their place inside the binary (src/base/worker.ts).
  entrypoints: [`${root}src/main.ts`, ...threads.map((module) => `${root}src/${module}.ts`)],
  root: `${root}src`,
  compile: {
    outfile: values.outfile,
    // A robot's working directory may hold a .env or a bunfig of its own: neither is ours to read.
    autoloadDotenv: false,
    autoloadBunfig: false,
    ...(values.target === undefined ? {} : { target: values.target as Bun.Build.CompileTarget }),
  },
  // Names stay, so that the stack of a bug can be read.
  minify: { whitespace: true, syntax: true, identifiers: false },
  bytecode: true,
  define: {
    HOLO_PEER_COMMIT: JSON.stringify(commit),
    HOLO_PEER_EMBEDDED_ROOT: JSON.stringify(windows ? 'B:/~BUN/root/' : '/$bunfs/root/'),
  },
})
for (const log of built.logs) console.error(String(log))
const size = Bun.file(values.outfile).size
console.log(`built ${values.outfile} (${Math.round(size / 1e6)} MB)`)
