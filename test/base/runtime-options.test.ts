import { expect, test } from 'bun:test'
import { optionsLacking } from '../../src/base/runtime-options.ts'

const late = {
  BUN_JSC_thresholdForOptimizeAfterWarmUp: '100000',
  BUN_JSC_thresholdForOptimizeAfterLongWarmUp: '100000',
}
const small = { BUN_JSC_forceRAMSize: '536870912' }

const fewCollections = { BUN_JSC_largeHeapSize: '67108864' }

test('a daemon gives memory back soon, a fetch compiles and collects less, others start once', () => {
  expect(optionsLacking(['daemon'], {})).toEqual({ MIMALLOC_PURGE_DELAY: '10', ...small, ...late })
  expect(optionsLacking(['--json', 'fetch', 'robot.yaml'], {})).toEqual({
    BUN_JSC_useDFGJIT: '0',
    ...fewCollections,
  })
  for (const words of [[], ['--version'], ['restore', 'daemon'], ['fleet', 'create'], ['constructor']]) {
    expect(optionsLacking(words, {})).toBeUndefined()
  }
})

test('a process that was started anew is not started again, and what the user has set stays', () => {
  for (const words of [['daemon'], ['fetch']]) {
    const lacking = optionsLacking(words, { HOME: '/root' })
    expect(optionsLacking(words, { HOME: '/root', ...lacking })).toBeUndefined()
  }
  expect(optionsLacking(['daemon'], { MIMALLOC_PURGE_DELAY: '100', ...late })).toEqual(small)
  expect(optionsLacking(['fetch'], { BUN_JSC_useDFGJIT: '' })).toEqual(fewCollections)
})
