/** How often a property is tried: few times by default, `FUZZ_RUNS` times as often in a long run. */
export function runs(count: number): number {
  return count * Math.max(1, Number(process.env.FUZZ_RUNS ?? 1) || 1)
}
