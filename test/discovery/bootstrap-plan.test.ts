import { expect, test } from 'bun:test'
import { planBootstrapNodes } from '../../src/discovery/bootstrap-plan.ts'

const far = { host: '10.0.0.7', port: 49737 }

test('planBootstrapNodes() hosts a node per address, and joins others only from the address that reaches them', () => {
  const plan = planBootstrapNodes(
    ['192.168.1.5', '10.0.0.5', '172.17.0.1'],
    [{ bootstrap: far, source: '10.0.0.5' }],
    49737,
  )
  expect(plan).toEqual([
    { address: '10.0.0.5', bootstraps: [far] },
    { address: '192.168.1.5', bootstraps: [] },
    { address: '172.17.0.1', bootstraps: [] },
    { address: '127.0.0.1', bootstraps: [] },
  ])
})

test('planBootstrapNodes() never joins itself', () => {
  const routes = ['10.0.0.5', '127.0.0.1'].map((host) => ({ bootstrap: { host, port: 49737 }, source: host }))
  expect(planBootstrapNodes(['10.0.0.5'], routes, 49737).every(({ bootstraps }) => bootstraps.length === 0)).toBe(true)
})

test('planBootstrapNodes() keeps what is on loopback apart from the LAN', () => {
  const other = { host: '127.0.0.1', port: 50_000 }
  expect(planBootstrapNodes(['10.0.0.5'], [{ bootstrap: other, source: '127.0.0.1' }], 49737)).toEqual([
    { address: '10.0.0.5', bootstraps: [] },
    { address: '127.0.0.1', bootstraps: [other] },
  ])
})

test('planBootstrapNodes() serves this machine alone where it has no address, and bounds what it hosts', () => {
  expect(planBootstrapNodes([], [{ bootstrap: far, source: '10.9.9.9' }], 49737)).toEqual([
    { address: '127.0.0.1', bootstraps: [] },
  ])
  const many = Array.from({ length: 20 }, (_, index) => `10.0.${index}.1`)
  expect(planBootstrapNodes(many, [], 49737)).toHaveLength(5)
})
