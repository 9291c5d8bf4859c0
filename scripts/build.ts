/**
 * `bun run build [--target bun-linux-arm64] [--outfile FILE]`: compile src/main.ts to the one binary, dist/holo-peer.
 */
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: { target: { type: 'string' }, outfile: { type: 'string', default: 'dist/holo-peer' } },
})
const root = new URL('..', import.meta.url).pathname
const commit = Bun.spawnSync(['git', 'rev-parse', '--short=12', 'HEAD'], { cwd: root }).stdout.toString().trim()

const built = await Bun.build({
  // Workers are entries of their own: src/base/worker-entry.ts finds them by these paths.
  entrypoints: ['main', 'restore/place-thread', 'store/ingest-worker', 'store/piece-worker', 'store/recode-worker'].map(
    (name) => `${root}src/${name}.ts`,
  ),
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
  define: { HOLO_PEER_COMMIT: JSON.stringify(commit) },
})
for (const log of built.logs) console.error(String(log))
const size = Bun.file(values.outfile).size
console.log(`built ${values.outfile} (${Math.round(size / 1e6)} MB)`)
