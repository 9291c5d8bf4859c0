/**
 * How long an environment takes to reach N machines, simulated: `bun bench/crowd-sim.ts [folder] [seed] [machines]`.
 *
 * The real choices of peer and piece (src/peer) on simulated links of 100 Mbit/s each way: one seed, all start together,
 * 500 pieces of about 0.33 MB on the wire. Prints a table; with a folder, writes it there with a picture. One machine
 * after the other would take N times as long as one alone: what is to be seen is growth with the logarithm of N. The
 * thousand machines take some minutes.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CrowdFigures, host, hosts, LINK_BYTES_PER_SECOND, runCrowd } from '../test/sim/crowd-world.ts'
import type { HostPlan } from '../test/sim/transfer-world.ts'

const PIECES = 500
const [folder, seedGiven, machinesMax = '1000'] = process.argv.slice(2)
const seed = Number(seedGiven ?? Date.now() % 2 ** 31)
const lines: string[] = []

function say(line: string): void {
  console.log(line)
  lines.push(line)
}

const run = (plans: readonly HostPlan[]) => runCrowd({ seed, hosts: plans, pieceCount: PIECES })
const alone = run(hosts(1, 1))
const row = (figures: CrowdFigures) =>
  [
    (figures.lastMs / 1000).toFixed(1).padStart(8),
    (figures.lastMs / alone.lastMs).toFixed(3).padStart(12),
    (figures.lastMs / figures.medianMs).toFixed(3).padStart(15),
    figures.seedShare.toFixed(3).padStart(12),
    figures.allShare.toFixed(3).padStart(16),
  ].join('  ')

say(`seed ${seed}; ${PIECES} pieces; 100 Mbit/s each way; simulated seconds`)
say('machines    last s  last / alone  slowest/median  seed / env.  all / (N-1) env.')
const points: { readonly machines: number; readonly figures: CrowdFigures }[] = []
for (const machines of [2, 4, 8, 16, 32, 64, 128, 256, 512, 1000]) {
  if (machines > Number(machinesMax)) break
  const figures = run(hosts(1, machines - 1))
  points.push({ machines, figures })
  say(`${String(machines).padEnd(8)}  ${row(figures)}`)
}

const slow = { upBytesPerSecond: LINK_BYTES_PER_SECOND / 100 }
const fast = host({ downBytesPerSecond: 10 * LINK_BYTES_PER_SECOND })
const crowd = run(hosts(1, 7))
const sources = run([...hosts(8, 0), fast])
const gone = host({ vanishMs: alone.lastMs / 2 })
say('')
say('time / all eight healthy')
for (const [what, plans, healthy] of [
  ['one of 8 sends at 1 % of the speed', [...hosts(1, 6), host(slow)], crowd],
  [
    'one of 8 sources does, for one machine at 1 Gbit/s',
    [...hosts(7, 0), host({ ...slow, isSeed: true }), fast],
    sources,
  ],
  ['a quarter killed half-way', [...hosts(1, 5), gone, gone], crowd],
  ['one of 8 sends wrong pieces', [...hosts(1, 6), host({ behaviour: 'liar' })], crowd],
  ['one of 8 announces everything and is silent', [...hosts(1, 6), host({ behaviour: 'mute' })], crowd],
  ['one of 8 announces everything and refuses', [...hosts(1, 6), host({ behaviour: 'refuser' })], crowd],
  ['one of 8 sends a byte a second', [...hosts(1, 6), host({ behaviour: 'trickler' })], crowd],
] as const) {
  const figures = run(plans)
  say(`${what.padEnd(52)}  ${(figures.lastMs / healthy.lastMs).toFixed(3)}`)
}

if (folder !== undefined) {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'crowd.txt'), `${lines.join('\n')}\n`)
  writeFileSync(join(folder, 'crowd.svg'), picture())
}

/** Time of the last and of the median over the number of machines, which is drawn by its logarithm. */
function picture(): string {
  const [width, height, left, bottom] = [720, 400, 60, 350]
  const most = Math.max(1.5, ...points.map(({ figures }) => figures.lastMs / alone.lastMs)) * 1.1
  const x = (machines: number) => left + ((width - left - 30) * Math.log2(machines)) / Math.log2(1024)
  const y = (ratio: number) => bottom - ((bottom - 40) * ratio) / most
  const line = (colour: string, value: (figures: CrowdFigures) => number) => {
    const drawn = points.map(
      ({ machines, figures }) => `${x(machines).toFixed(1)},${y(value(figures) / alone.lastMs).toFixed(1)}`,
    )
    const dots = drawn.map((at) => `<circle cx="${at.replace(',', '" cy="')}" r="3" fill="${colour}"/>`)
    return `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${drawn.join(' ')}"/>${dots.join('')}`
  }
  const text = (atX: number, atY: number, what: string, anchor = 'middle') =>
    `<text x="${atX.toFixed(1)}" y="${atY.toFixed(1)}" text-anchor="${anchor}">${what}</text>`
  const ratios = Array.from({ length: Math.floor(most * 2) + 1 }, (_, index) => index / 2)
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    text(left, 22, `Time until an environment is on N machines, one alone = 1 (simulated, seed ${seed})`, 'start'),
    ...ratios.map((ratio) => `<path stroke="#ddd" d="M${left},${y(ratio).toFixed(1)}H${width - 20}"/>`),
    ...ratios.map((ratio) => text(left - 8, y(ratio) + 4, ratio.toFixed(1), 'end')),
    ...points.map(({ machines }) => text(x(machines), bottom + 18, String(machines))),
    text(width / 2, height - 10, 'machines, the seed included'),
    line('#888', ({ medianMs }) => medianMs),
    line('#06c', ({ lastMs }) => lastMs),
    text(width - 24, 44, '<tspan fill="#06c">last</tspan>, <tspan fill="#888">median</tspan>', 'end'),
    '</svg>',
    '',
  ].join('\n')
}
