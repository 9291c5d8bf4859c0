/**
 * The CRC-32 of two texts in a row, from the CRC-32 of each and the length of the second: so a gzip trailer can be
 * written for bytes that were checked long ago.
 *
 * zlib's algorithm (crc32_combine in crc32.c): a CRC is a polynomial over GF(2), and to append n bytes is to multiply
 * it by x^8n modulo the CRC's own polynomial. Bits are reflected, as in RFC 1952: the highest is the coefficient of 1.
 */
const POLYNOMIAL = 0xedb88320
const ONE = 0x80000000
const X = 0x40000000

/** x^(2^k) at index k; the powers repeat after 32. */
const SQUARES: readonly number[] = squares()

/**
 * @param left CRC-32 of what comes first
 * @param right CRC-32 of what comes second
 * @param rightBytes length of what comes second
 * @returns the CRC-32 of both, unsigned
 */
export function combineCrc32(left: number, right: number, rightBytes: number): number {
  // Bit i of the length stands for 2^i bytes, which are 2^(i + 3) bits.
  let shift = ONE
  let rest = rightBytes
  for (let index = 3; rest > 0; index++) {
    if (rest % 2 === 1) shift = product(shift, SQUARES[index % 32] ?? 0)
    rest = Math.floor(rest / 2)
  }
  return (product(shift, left) ^ right) >>> 0
}

/** Product of two polynomials modulo the CRC's. */
function product(left: number, right: number): number {
  let sum = 0
  let factor = right
  for (let bit = ONE; bit !== 0; bit >>>= 1) {
    if ((left & bit) !== 0) sum ^= factor
    factor = (factor & 1) === 0 ? factor >>> 1 : (factor >>> 1) ^ POLYNOMIAL
  }
  return sum >>> 0
}

function squares(): number[] {
  const powers = [X]
  for (let power = X; powers.length < 32; powers.push(power)) power = product(power, power)
  return powers
}
