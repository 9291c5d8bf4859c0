/** Randomness as an argument: the system's at the edge, a seeded one in simulations. */
export interface Random {
  /** Uniform in [0, 1). Not for secrets: those come from hypercore-crypto. */
  next(): number
}

export const systemRandom: Random = { next: () => Math.random() }

/** A reproducible generator (mulberry32, public domain, by Tommy Ettinger). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return {
    next: () => {
      state = (state + 0x6d2b79f5) >>> 0
      let mixed = Math.imul(state ^ (state >>> 15), state | 1)
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
    },
  }
}
