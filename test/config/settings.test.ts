import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HoloError } from '../../src/base/errors.ts'
import { loadSettings } from '../../src/config/settings.ts'

const folder = mkdtempSync(join(tmpdir(), 'holo-settings-'))
afterAll(() => rmSync(folder, { recursive: true }))

function fileOf(text: string): string {
  const file = join(folder, `${Bun.hash(text)}.yaml`)
  writeFileSync(file, text)
  return file
}

async function failureOf(text: string): Promise<HoloError> {
  try {
    await loadSettings(fileOf(text), { environment: {} })
  } catch (error) {
    if (error instanceof HoloError) return error
    throw error
  }
  throw new Error('no error was thrown')
}

describe('loadSettings()', () => {
  test('gives defaults where there is no file', async () => {
    const settings = await loadSettings(join(folder, 'absent.yaml'), { environment: {} })
    expect(settings).toEqual({
      discovery: { dht: 'private', bootstrap: [], port: 49737, multicast: true },
      peers: { allow: [], ban: [] },
    })
  })

  test("leaves rcc's own sections alone", async () => {
    const file = fileOf('endpoints:\n  pypi: https://example.test\nmeta:\n  name: x\n')
    expect((await loadSettings(file, { environment: {} })).discovery.port).toBe(49737)
  })

  test('ranks flag over environment over file', async () => {
    const file = fileOf('holo-peer:\n  discovery:\n    port: 1000\n    dht: public\n    bootstrap: [a.test:1]\n')
    const environment = {
      HOLO_PEER_PORT: '2000',
      HOLO_PEER_BOOTSTRAP: 'b.test:2, [fe80::1]:3',
      HOLO_PEER_MULTICAST: 'false',
    }
    expect((await loadSettings(file, { environment: {} })).discovery).toEqual({
      dht: 'public',
      bootstrap: ['a.test:1'],
      port: 1000,
      multicast: true,
    })
    expect((await loadSettings(file, { environment })).discovery).toEqual({
      dht: 'public',
      bootstrap: ['b.test:2', '[fe80::1]:3'],
      port: 2000,
      multicast: false,
    })
    expect((await loadSettings(file, { environment, port: 3000 })).discovery.port).toBe(3000)
  })

  test('suggests the nearest key for an unknown one', async () => {
    const error = await failureOf('holo-peer:\n  discovery:\n    bootstraps: []\n')
    expect(error.message).toContain('holo-peer.discovery.bootstraps in ')
    expect(error.hint).toBe('did you mean bootstrap?')
    expect(error.blame).toBe('input')
  })

  test('names the entry that is wrong', async () => {
    expect((await failureOf('holo-peer:\n  discovery:\n    bootstrap: [nowhere]\n')).message).toContain(
      'holo-peer.discovery.bootstrap.0',
    )
    expect((await failureOf('holo-peer: [1]\n')).code).toBe('settings-invalid')
    expect((await failureOf('holo-peer: {\n')).message).toContain('is not valid YAML (line ')
    expect((await failureOf('holo-peer:\n  discovery:\n    port: 70000\n')).blame).toBe('input')
  })

  test('refuses a file of more than a mebibyte before it is parsed', async () => {
    expect((await failureOf(`# ${'x'.repeat(1024 * 1024)}\n`)).message).toContain('the limit is')
  })
})
