/**
 * A fleet as a graph: who is linked with whom, after machines have come, gone and looked for each other.
 *
 * A model of Hyperswarm's rule, seeded: each look-up finds some random members that are up or were lately; a machine
 * calls those that it found while it has fewer links than `PEERS_WANTED`, and takes every call: with `PEERS_MAX` links it
 * parts with the oldest. Dead ones in the look-up cost a try. No packets, no time but rounds.
 */
import { rareCatalogs } from '../../src/app/rare-catalogs.ts'
import { PEERS_MAX, PEERS_SOUGHT_MAX, PEERS_WANTED, PEERS_WIDE } from '../../src/base/limits.ts'
import type { Random } from '../../src/base/random.ts'
import type { CatalogName } from '../../src/catalog/tree.ts'

/** What a look-up brings: up to 20 records from each of the DHT nodes that are closest to the topic, many of them twice. */
const FOUND_PER_LOOKUP = 100

export interface Graph {
  /** By machine; undefined where it is down. */
  readonly links: readonly (ReadonlySet<number> | undefined)[]
  /** Calls that met a machine which was full, and made it part with another one. */
  readonly parted: number
  readonly calls: number
}

export interface GraphOptions {
  readonly machines: number
  /** One after the other, each looking once when it comes; or all at the same moment. */
  readonly arrival: 'one by one' | 'all at once'
  /** Share of the machines that then die at the same moment; the others look again. */
  readonly dying: number
  readonly random: Random
}

export function growFleet({ machines, arrival, dying, random }: GraphOptions): Graph {
  const links: (Set<number> | undefined)[] = Array.from({ length: machines }, () => undefined)
  let parted = 0
  let calls = 0
  const look = (machine: number, known: number) => {
    const own = links[machine]
    if (own === undefined) return
    for (let found = 0; found < FOUND_PER_LOOKUP && own.size < PEERS_WANTED; found++) {
      const other = Math.floor(random.next() * known)
      const theirs = links[other]
      if (other === machine || own.has(other)) continue
      calls++
      if (theirs === undefined) continue
      if (theirs.size >= PEERS_MAX) {
        parted++
        const [oldest = -1] = theirs
        theirs.delete(oldest)
        links[oldest]?.delete(other)
      }
      own.add(other)
      theirs.add(machine)
    }
  }
  for (let machine = 0; machine < machines; machine++) {
    links[machine] = new Set()
    if (arrival === 'one by one') look(machine, machine + 1)
  }
  // Everybody looks again from time to time.
  for (let round = 0; round < 3; round++) for (let machine = 0; machine < machines; machine++) look(machine, machines)
  for (let machine = 0; machine < machines * dying; machine++) {
    const gone = Math.floor(random.next() * machines)
    for (const other of links[gone] ?? []) links[other]?.delete(gone)
    links[gone] = undefined
  }
  if (dying > 0) for (let machine = 0; machine < machines; machine++) look(machine, machines)
  return { links, parted, calls }
}

export interface Shape {
  readonly up: number
  /** Machines of the largest part that hangs together. */
  readonly connected: number
  readonly degree: { readonly least: number; readonly mean: number; readonly most: number }
  /** Longest of the shortest ways, from a sample of machines. */
  readonly diameter: number
  /** Share of machines with room for one more call. */
  readonly withRoom: number
}

export function shapeOf({ links }: Graph, samples: number, random: Random): Shape {
  const up = links.flatMap((own, machine) => (own === undefined ? [] : [machine]))
  const degrees = up.map((machine) => links[machine]?.size ?? 0)
  let connected = 0
  let diameter = 0
  for (let sample = 0; sample < samples; sample++) {
    const start = up[Math.floor(random.next() * up.length)]
    if (start === undefined) break
    const { reached, farthest } = reach(links, start)
    connected = Math.max(connected, reached)
    diameter = Math.max(diameter, farthest)
  }
  return {
    up: up.length,
    connected,
    degree: {
      least: Math.min(...degrees),
      mean: degrees.reduce((sum, degree) => sum + degree, 0) / degrees.length,
      most: Math.max(...degrees),
    },
    diameter,
    withRoom: degrees.filter((degree) => degree < PEERS_MAX).length / degrees.length,
  }
}

function reach(links: Graph['links'], start: number): { reached: number; farthest: number } {
  const steps = new Map([[start, 0]])
  const queue = [start]
  for (let at = 0; at < queue.length; at++) {
    const machine = queue[at] ?? start
    for (const other of links[machine] ?? []) {
      if (steps.has(other)) continue
      steps.set(other, (steps.get(machine) ?? 0) + 1)
      queue.push(other)
    }
  }
  return { reached: steps.size, farthest: Math.max(...steps.values()) }
}

export interface Sought {
  /** Machines that looked for the environment and met nobody who has it. */
  readonly missed: number
  /** Machines that would have missed it, had they asked their neighbours alone. */
  readonly missedBefore: number
  /** Of those that hold it, how many announce it for itself. */
  readonly announcing: number
}

/**
 * Let `seekers` random machines look for an environment that `holders` others hold: each asks `PEERS_WIDE` random machines,
 * and those who announce it.
 */
export function seekEnvironment({ links }: Graph, holders: number, seekers: number, random: Random): Sought {
  const up = links.flatMap((own, machine) => (own === undefined ? [] : [machine]))
  const pick = () => up[Math.floor(random.next() * up.length)] ?? 0
  const holding = new Set<number>()
  while (holding.size < holders) holding.add(pick())
  const name = 'sought' as CatalogName
  const announcing = [...holding].filter((holder) => {
    const neighbours = [...(links[holder] ?? [])]
    const known = neighbours.filter((machine) => holding.has(machine)).length
    const rarity = { held: [name], neighbours: neighbours.length, holders: () => known }
    return rareCatalogs(rarity, new Set()).length > 0
  }).length
  let [missed, missedBefore] = [0, 0]
  for (let seeker = 0; seeker < seekers; seeker++) {
    const asked = new Set<number>()
    while (asked.size < Math.min(PEERS_WIDE, up.length - 1)) asked.add(pick())
    if ([...asked].some((machine) => holding.has(machine))) continue
    missedBefore++
    if (Math.min(announcing, PEERS_SOUGHT_MAX) === 0) missed++
  }
  return { missed, missedBefore, announcing }
}
