/**
 * What the wire itself takes: one command writes into a TCP connection, another reads from it, and nothing is between
 * them. `tar` of a library's blobs, gzip or raw, and a plain file.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { blobEntryName } from '../../src/catalog/layout.ts'
import type { Host } from '../../test/support/lan.ts'
import type { Stock } from './stock.ts'

const PORT = 9000
/** Accept one connection and let the command write to it. */
const SEND = `use IO::Socket::INET; my $s = IO::Socket::INET->new(Listen => 1, LocalPort => ${PORT}, ReuseAddr => 1) or die;
print STDERR "up\\n"; my $c = $s->accept; open(STDOUT, ">&", $c) or die; exec(@ARGV);`

/** @returns milliseconds from the start of the receiving shell to its end. @throws {Error} it failed */
async function copyMs(from: Host, to: Host, send: readonly string[], receive: string): Promise<number> {
  const sender = from.spawn(['perl', '-e', SEND, ...send])
  for await (const _up of sender.stderr) break
  const startedMs = performance.now()
  const { exitCode, stderr } = await to.run(['bash', '-c', `exec ${receive} < /dev/tcp/${from.address}/${PORT}`])
  const ms = performance.now() - startedMs
  await sender.exited
  if (exitCode !== 0) throw new Error(stderr)
  return ms
}

/** `tar` of the blobs of `hololib`; what arrives is removed again. */
export async function tarMs(from: Host, to: Host, hololib: string, stock: Stock): Promise<number> {
  const list = join(from.folder, 'blobs.txt')
  fs.writeFileSync(list, stock.blobs.map(({ digest }) => `${blobEntryName(digest)}\n`).join(''))
  const target = join(to.folder, 'tar')
  fs.mkdirSync(target)
  try {
    return await copyMs(from, to, ['tar', '-c', '-C', hololib, '-T', list], `tar -x -C ${target}`)
  } finally {
    fs.rmSync(target, { recursive: true })
  }
}

/** `bytes` zeros, from memory to nowhere. */
export async function plainMs(from: Host, to: Host, bytes: number): Promise<number> {
  return copyMs(from, to, ['head', '-c', String(bytes), '/dev/zero'], 'cat > /dev/null')
}
