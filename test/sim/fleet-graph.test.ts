import { expect, test } from 'bun:test'
import { PEERS_MAX, PEERS_WANTED } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { runs } from '../support/runs.ts'
import { growFleet, shapeOf } from './fleet-graph.ts'

// Goal: bounded links keep the fleet one graph, with room for whoever comes next. Method: a model of 1,000 machines that
// come in both ways, before and after a third of them dies at once; the bench has 10,000, and the figures.
for (const arrival of ['one by one', 'all at once'] as const)
  for (const dying of [0, 0.33])
    test(`growFleet() stays one graph with room in it: ${arrival}, ${dying} dying`, () => {
      for (let run = 0; run < runs(3); run++) {
        const seed = Math.floor(performance.now() * 1000) % 2 ** 31
        const random = seededRandom(seed)
        const shape = shapeOf(growFleet({ machines: 1_000, arrival, dying, random }), 20, random)
        const told = `seed ${seed}: ${JSON.stringify(shape)}`
        expect(shape.connected === shape.up, told).toBe(true)
        expect(shape.degree.most <= PEERS_MAX && shape.degree.least >= PEERS_WANTED, told).toBe(true)
        expect(shape.withRoom > 0.5, told).toBe(true)
      }
    })
