import { expect, test } from 'bun:test'
import { PEERS_MAX, PEERS_WANTED } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { runs } from '../support/runs.ts'
import { growFleet, seekEnvironment, shapeOf } from './fleet-graph.ts'

// Goal: bounded links keep the fleet one graph, though whoever comes makes a full machine part with another one. Method: a model of 1,000 machines that
// come in both ways, before and after a third of them dies at once; the bench has 10,000, and the figures.
for (const arrival of ['one by one', 'all at once'] as const)
  for (const dying of [0, 0.33])
    test(`growFleet() stays one graph: ${arrival}, ${dying} dying`, () => {
      for (let run = 0; run < runs(3); run++) {
        const seed = Math.floor(Math.random() * 2 ** 31)
        const random = seededRandom(seed)
        const shape = shapeOf(growFleet({ machines: 1_000, arrival, dying, random }), 20, random)
        const told = `seed ${seed}: ${JSON.stringify(shape)}`
        expect(shape.connected === shape.up, told).toBe(true)
        expect(shape.degree.most <= PEERS_MAX && shape.degree.least >= PEERS_WANTED, told).toBe(true)
      }
    })

// Goal: an environment is found however few hold it, and what is common is announced by nobody. Method: the same model;
// whoever holds it decides by its own neighbours, as a daemon does.
test('seekEnvironment() finds what one machine holds, and what most of them hold without any announcement', () => {
  for (let run = 0; run < runs(3); run++) {
    const seed = Math.floor(Math.random() * 2 ** 31)
    const random = seededRandom(seed)
    const graph = growFleet({ machines: 1_000, arrival: 'one by one', dying: 0, random })
    for (const holders of [1, 3, 10, 30, 100, 200]) {
      const sought = seekEnvironment(graph, holders, 300, random)
      const told = `seed ${seed}, ${holders} holders: ${JSON.stringify(sought)}`
      expect(sought.missed, told).toBe(0)
      if (holders <= 3) expect(sought.missedBefore, told).toBeGreaterThan(150)
    }
    expect(seekEnvironment(graph, 700, 300, random)).toEqual({ missed: 0, missedBefore: 0, announcing: 0 })
  }
})
