/**
 * Order of texts by their UTF-8 bytes, as Go and file systems have it. JavaScript compares UTF-16 units, which puts
 * characters above U+FFFF before those from U+E000 to U+FFFF.
 */

/** @returns negative, zero or positive: for `Array.sort` */
export function compareBytewise(left: string, right: string): number {
  const shared = Math.min(left.length, right.length)
  for (let index = 0; index < shared; index++) {
    const leftUnit = left.charCodeAt(index)
    const rightUnit = right.charCodeAt(index)
    if (leftUnit === rightUnit) continue
    const leftAbove = isSurrogate(leftUnit)
    return leftAbove === isSurrogate(rightUnit) ? leftUnit - rightUnit : leftAbove ? 1 : -1
  }
  return left.length - right.length
}

/** Half of a character above U+FFFF: it comes after every other unit. */
function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff
}
