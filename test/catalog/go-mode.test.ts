import { expect, test } from 'bun:test'
import { goDirectoryMode, goFileMode } from '../../src/catalog/go-mode.ts'
import { unixMode } from '../../src/restore/file-mode.ts'

test('goFileMode() and unixMode() are inverse for every mode', () => {
  for (let mode = 0; mode <= 0o7777; mode++) {
    expect(unixMode(goFileMode(mode))).toBe(mode)
    expect(unixMode(goDirectoryMode(mode))).toBe(mode)
  }
})

// From a catalog of the real rcc: reloc/, modes/setuid, modes/setgid, modes/sticky.
test('goFileMode() and goDirectoryMode() give the numbers that rcc writes', () => {
  expect(goDirectoryMode(0o40755)).toBe(2147484141)
  expect(goFileMode(0o104755)).toBe(8389101)
  expect(goFileMode(0o102755)).toBe(4194797)
  expect(goFileMode(0o101644)).toBe(1048996)
})
