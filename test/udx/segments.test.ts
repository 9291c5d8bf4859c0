import { dlopen, FFIType, ptr } from 'bun:ffi'
import { describe, expect, test as plain } from 'bun:test'
import fc from 'fast-check'
import { addressBytes } from '../../packages/udx/src/address-bytes.ts'
import { Datagrams } from '../../packages/udx/src/datagrams.ts'
import { type Batch, Segments } from '../../packages/udx/src/segments.ts'
import { runs } from '../support/runs.ts'
import { skipUnless } from '../support/skip.ts'

const test = skipUnless(process.platform === 'linux', 'this is Linux’ own')

describe('addressBytes()', () => {
  plain('reads what the system would', () => {
    expect(addressBytes('192.0.2.7', 4)).toEqual(Uint8Array.of(192, 0, 2, 7))
    expect(Buffer.from(addressBytes('192.0.2.7', 6) ?? []).toString('hex')).toBe('00000000000000000000ffffc0000207')
    expect(Buffer.from(addressBytes('2001:db8::8:1', 6) ?? []).toString('hex')).toBe('20010db8000000000000000000080001')
    expect(Buffer.from(addressBytes('::', 6) ?? []).toString('hex')).toBe('0'.repeat(32))
    expect(Buffer.from(addressBytes('::ffff:192.0.2.7', 6) ?? []).toString('hex')).toBe(
      '00000000000000000000ffffc0000207',
    )
    for (const [host, family] of [
      ['::1', 4],
      ['fe80::1%lo', 6],
      ['localhost', 4],
      ['1:2:3', 6],
    ] as const)
      expect(addressBytes(host, family)).toBeUndefined()
  })

  test('reads every way to write an address as the system does', () => {
    const { symbols } = dlopen('libc.so.6', {
      inet_pton: { args: [FFIType.i32, FFIType.cstring, FFIType.ptr], returns: FFIType.i32 },
    })
    fc.assert(
      fc.property(fc.oneof(fc.ipV6(), fc.ipV4()), (host) => {
        const family = host.includes(':') ? 6 : 4
        const wanted = new Uint8Array(family === 4 ? 4 : 16)
        const read = symbols.inet_pton(family === 4 ? 2 : 10, ptr(Buffer.from(`${host}\0`)), ptr(wanted))
        expect(addressBytes(host, family)).toEqual(read === 1 ? wanted : undefined)
      }),
      { numRuns: runs(300) },
    )
  })
})

describe('Datagrams', () => {
  // Goal: whatever the sizes and targets in a batch, every datagram arrives whole, at the right port, in order.
  for (const host of ['127.0.0.1', '::1']) {
    test(`sends batches of any sizes to several ports of ${host}, whole and in order`, async () => {
      const received = new Map<number, string[]>()
      const receivers = [0, 1].map((index) => {
        received.set(index, [])
        return listen(host, (data) => received.get(index)?.push(data.toString('latin1')))
      })
      const sender = listen(host, () => {})
      const sent = new Map<number, string[]>([
        [0, []],
        [1, []],
      ])
      let count = 0
      for (const [length, times, target] of [
        [1200, 30, 0],
        [1200, 3, 1],
        [1452, 64, 0],
        [7, 1, 0],
        [1452, 50, 1],
        [100, 70, 0],
        [1452, 5, 0],
        [20, 2, 1],
      ] as const) {
        for (let i = 0; i < times; i++) {
          const text = `${count++} `.padEnd(length, String.fromCharCode(33 + (count % 90)))
          sent.get(target)?.push(text)
          sender.queue(Buffer.from(text, 'latin1'), receivers[target]?.port ?? 0, host)
        }
      }
      sender.flush()
      while ([...received.values()].flat().length < count) await new Promise((resolve) => setImmediate(resolve))
      expect(received).toEqual(sent)
      for (const port of [sender, ...receivers]) port.close()
    })
  }
})

describe('Segments', () => {
  const packets = (...sizes: number[]): Batch => sizes.flatMap((size) => [new Uint8Array(size), 9, '127.0.0.1'])

  test('run() takes packets of one size to one address, the last one perhaps shorter', () => {
    const segments = Segments.of(0, 4)
    if (segments === undefined) throw new Error('no segments on Linux')
    expect(segments.run(packets(100, 100, 100, 100), 0)).toBe(4)
    expect(segments.run(packets(100, 100, 100), 0)).toBe(0)
    expect(segments.run(packets(100, 100, 100, 100, 50, 50), 0)).toBe(5)
    expect(segments.run(packets(100, 100, 100, 100, 101), 0)).toBe(4)
    expect(segments.run(packets(50, 100, 100, 100, 100), 3)).toBe(4)
    expect(segments.run([...packets(100, 100, 100, 100), new Uint8Array(100), 8, '127.0.0.1'], 0)).toBe(4)
    expect(segments.run(packets(...new Array<number>(100).fill(1452)), 0)).toBe(44)
    expect(segments.run(packets(...new Array<number>(100).fill(20)), 0)).toBe(64)
    expect(segments.run(packets(0, 0, 0, 0), 0)).toBe(0)
  })

  test('gives up where the system always refuses', () => {
    const segments = Segments.of(1 << 20, 4)
    const batch = packets(100, 100, 100, 100)
    for (let i = 0; i < 16; i++) {
      expect(segments?.run(batch, 0)).toBe(4)
      expect(segments?.send(batch, 0, 4)).toBe(false)
      segments?.refused()
    }
    expect(segments?.run(batch, 0)).toBe(0)
  })
})

function listen(host: string, onData: (data: Buffer) => void): Datagrams {
  const port = new Datagrams(0, host, { ipv6Only: false, reuseAddress: false }, { onData, onWritable() {} })
  port.setBufferBytes('receive', 4 * 1024 * 1024)
  return port
}
