/** What the system does not allow is told, once, and stops nothing. */
import { describe, expect, test as plain } from 'bun:test'
import type { BoundPort } from '../../packages/udx/src/port.ts'
import { UDX, type UDXWarning } from '../../packages/udx/src/udx.ts'
import { skipUnless } from '../support/skip.ts'

/** A port on a system that grants buffers of so many bytes at most. */
function stingy(grantedBytes: number, dontFragment: boolean): BoundPort {
  return {
    ...{ family: 4, port: 4000, dontFragment, writable: true },
    queue() {},
    flush() {},
    sendFragmentable() {},
    send() {},
    setTTL() {},
    bufferBytes: () => grantedBytes,
    setBufferBytes: (_direction, bytes) => Math.min(bytes, grantedBytes),
    setMembership() {},
    close() {},
  }
}

function warningsOf(port: BoundPort, sockets = 1): UDXWarning[] {
  const warnings: UDXWarning[] = []
  const udx = new UDX({ bind: () => port, onWarning: (warning) => warnings.push(warning) })
  for (let i = 0; i < sockets; i++) udx.createSocket().bind(4000)
  return warnings
}

describe('onWarning', () => {
  plain('hears of each thing that the system did not grant, once for all sockets', () => {
    const warnings = warningsOf(stingy(425_984, false), 3)
    expect(warnings.map(({ code }) => code)).toEqual(['SMALL_RECEIVE_BUFFER', 'SMALL_SEND_BUFFER', 'NO_DONT_FRAGMENT'])
    expect(warnings[0]?.message).toContain('416 KiB instead of 4096 KiB')
    if (process.platform === 'linux') expect(warnings[0]?.hint).toContain('net.core.rmem_max to 4194304')
  })

  plain('hears nothing where all was granted', () => {
    expect(warningsOf(stingy(Number.MAX_SAFE_INTEGER, true))).toEqual([])
  })

  // Method: a user namespace has no power over the system's limits, so a buffer of a gigabyte is not granted.
  const unshared = process.platform === 'linux' && Bun.spawnSync(['unshare', '-U', 'true']).exitCode === 0
  skipUnless(unshared, 'user namespaces are not allowed here')('hears of the real system’s limit', async () => {
    const script = `
      const { UDX } = require(${JSON.stringify(new URL('../../packages/udx/src/udx.ts', import.meta.url).pathname)})
      const udx = new UDX({ receiveBufferBytes: 2 ** 30, onWarning: ({ code }) => console.log(code) })
      const socket = udx.createSocket()
      socket.bind(0, '127.0.0.1')
      socket.close()
    `
    const child = Bun.spawn(['unshare', '-U', process.execPath, '-e', script], { stdout: 'pipe', stderr: 'inherit' })
    expect(await new Response(child.stdout).text()).toContain('SMALL_RECEIVE_BUFFER')
    expect(await child.exited).toBe(0)
  })
})
