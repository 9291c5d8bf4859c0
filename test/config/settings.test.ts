import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HoloError } from '../../src/base/errors.ts'
import { loadSettings, PEERS_FIRST, type SettingsOverrides } from '../../src/config/settings.ts'

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
      lane: { port: 49737 },
      limits: {
        upload: undefined,
        download: undefined,
        wanDownload: undefined,
        slots: 16,
        slotsPerPeer: 256,
        connectionMemory: 262_144,
        pieceStore: 1_073_741_824,
      },
      peers: { allow: [], ban: [] },
      door: {
        enabled: true,
        address: 'localhost',
        port: 4653,
        open: false,
        token: undefined,
        tokenFile: undefined,
      },
      substituters: PEERS_FIRST,
      trust: { rule: 'fleet', trustedKeys: [], revokedKeys: [] },
      holotree: {
        strategy: 'auto',
        hardlinkExcludes: ['*.pyc', '*.pyo', '__pycache__/*', '*.so'],
        copyPatterns: [],
        verification: 'trusted',
        compression: 'raw',
        modes: { fast: false, lite: false, sharedMode: false },
      },
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

  test('reads limits in the units of people, and names the one that is wrong', async () => {
    const file = fileOf('holo-peer:\n  limits:\n    upload: 100 Mbit/s\n    slots: 4\n    piece-store: 2 GB\n')
    expect((await loadSettings(file, { environment: {} })).limits).toMatchObject({
      upload: 12_500_000,
      download: undefined,
      slots: 4,
      pieceStore: 2_000_000_000,
    })
    expect(
      (await loadSettings(fileOf('holo-peer:\n  limits:\n    piece-store: 0\n'), { environment: {} })).limits,
    ).toMatchObject({
      pieceStore: 0,
    })
    const error = await failureOf('holo-peer:\n  limits:\n    download: fast\n')
    expect(error.message).toContain('holo-peer.limits.download in ')
    expect(error.message).toContain('must be written like 50 MB/s')
    expect((await failureOf('holo-peer:\n  limits:\n    slots: 0\n')).message).toContain('holo-peer.limits.slots')
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

describe('loadSettings() on the section holotree', () => {
  const holotreeOf = async (text: string, overrides: Partial<SettingsOverrides> = {}) =>
    (await loadSettings(fileOf(text), { environment: {}, ...overrides })).holotree

  test('reads every key', async () => {
    const text = [
      'holotree:',
      '  strategy: smart',
      '  hardlink-excludes: ["*.dll"]',
      '  copy-patterns: ["bin/*", "lib/**/*.so"]',
      '  verification: always',
      '  compression: gzip',
    ].join('\n')
    expect(await holotreeOf(text)).toMatchObject({
      strategy: 'smart',
      hardlinkExcludes: ['*.dll'],
      copyPatterns: ['bin/*', 'lib/**/*.so'],
      verification: 'always',
      compression: 'gzip',
    })
    expect(await holotreeOf('holotree:\nother: 1\n')).toMatchObject({ strategy: 'auto' })
  })

  test('ranks flag over environment over strategy over restoration-strategy', async () => {
    const old = 'holotree:\n  restoration-strategy: copy\n'
    const both = `${old}  strategy: reflink\n`
    const environment = { RCC_HOLOTREE_STRATEGY: 'hardlink' }
    expect((await holotreeOf(old)).strategy).toBe('copy')
    expect((await holotreeOf(both)).strategy).toBe('reflink')
    expect((await holotreeOf(both, { environment })).strategy).toBe('hardlink')
    expect((await holotreeOf(both, { environment, strategy: 'symlink' })).strategy).toBe('symlink')
    expect((await holotreeOf(both, { environment: { RCC_HOLOTREE_STRATEGY: '' } })).strategy).toBe('reflink')
  })

  test('takes verification from a flag, a variable, the file, in this order', async () => {
    const text = 'holotree:\n  verification: always\n'
    const skip = { RCC_SKIP_VERIFICATION: 'true' }
    const fast = { RCC_FAST_MODE: '1' }
    expect((await holotreeOf(text)).verification).toBe('always')
    expect((await holotreeOf(text, { environment: fast })).verification).toBe('trusted')
    expect((await holotreeOf(text, { environment: { ...fast, ...skip } })).verification).toBe('skip')
    expect((await holotreeOf(text, { environment: skip, verification: 'always' })).verification).toBe('always')
  })

  test('tells switches that are on from those that are off, and refuses others by name', async () => {
    for (const [text, on] of [
      ...['true', 'TRUE', '1', 'yes', 'Yes'].map((each) => [each, true] as const),
      ...['', 'false', 'False', '0', 'no', 'NO'].map((each) => [each, false] as const),
    ]) {
      const environment = { RCC_FAST_MODE: text, RCC_LITE_MODE: text, RCC_SHARED_MODE: text }
      expect((await holotreeOf('', { environment })).modes).toEqual({ fast: on, lite: on, sharedMode: on })
    }
    for (const name of ['RCC_FAST_MODE', 'RCC_LITE_MODE', 'RCC_SHARED_MODE', 'RCC_SKIP_VERIFICATION'])
      expect(holotreeOf('', { environment: { [name]: 'maybe' } })).rejects.toMatchObject({
        blame: 'input',
        code: 'settings-invalid',
        message: `The environment variable ${name} is "maybe", which is neither true nor false`,
      })
  })

  const wrong: [text: string, says: string, hint: string][] = [
    ['{stratgy: copy}', 'holotree.stratgy in ', 'did you mean strategy?'],
    ['{strategy: hardlnk}', 'holotree.strategy in ', 'did you mean hardlink?'],
    ['{restoration-strategy: copy-only}', 'is "copy-only", which is not one of auto, reflink, ', 'known here: auto, '],
    ['{verification: trust}', 'is "trust", which is not one of ', 'did you mean trusted?'],
    ['{compression: zstd}', 'holotree.compression in ', 'known here: raw, gzip'],
    ['{strategy: 3}', 'holotree.strategy in ', ''],
    ['{copy-patterns: "*.so"}', 'holotree.copy-patterns in ', ''],
    ['{copy-patterns: ["ok", "/abs"]}', 'is wrong: the pattern has a slash', ''],
    [`{hardlink-excludes: [${'"a", '.repeat(257)}]}`, 'holotree.hardlink-excludes in ', ''],
    ['[1]', 'holotree in ', ''],
  ]
  test.each(wrong)('refuses %s', async (text, says, hint) => {
    const error = await failureOf(`holotree: ${text}\n`)
    expect(error).toMatchObject({ blame: 'input', code: 'settings-invalid' })
    expect(error.message).toContain(says)
    expect(error.hint).toStartWith(hint)
  })

  test('suggests for a variable too', async () => {
    expect(holotreeOf('', { environment: { RCC_HOLOTREE_STRATEGY: 'reflnk' } })).rejects.toMatchObject({
      hint: 'did you mean reflink?',
      message: expect.stringMatching(/^The environment variable RCC_HOLOTREE_STRATEGY is "reflnk"/),
    })
  })
})

describe('loadSettings() on the section holo-peer.door', () => {
  const doorOf = async (text: string, environment: SettingsOverrides['environment'] = {}) =>
    (await loadSettings(fileOf(text), { environment })).door

  test('reads every key, and the environment over them', async () => {
    const text =
      'holo-peer:\n  door: {enabled: false, address: 10.0.0.7, port: 1000, open: true, token-file: /run/door.token}\n'
    expect(await doorOf(text)).toEqual({
      enabled: false,
      address: '10.0.0.7',
      port: 1000,
      open: true,
      token: undefined,
      tokenFile: '/run/door.token',
    })
    const environment = {
      HOLO_PEER_DOOR: 'yes',
      HOLO_PEER_DOOR_ADDRESS: '::1',
      HOLO_PEER_DOOR_PORT: '2000',
      HOLO_PEER_DOOR_TOKEN: 'secret',
    }
    expect(await doorOf(text, environment)).toMatchObject({
      enabled: true,
      address: '::1',
      port: 2000,
      token: 'secret',
    })
  })

  test('names what is wrong, in the file and in the environment', async () => {
    expect((await failureOf('holo-peer:\n  door: {tokenfile: x}\n')).hint).toBe('did you mean token-file?')
    expect((await failureOf('holo-peer:\n  door: {address: example.test}\n')).message).toContain('must be localhost or')
    expect((await failureOf('holo-peer:\n  door: {port: 0}\n')).message).toContain('holo-peer.door.port in ')
    for (const [variable, value] of [
      ['HOLO_PEER_DOOR_PORT', 'x'],
      ['HOLO_PEER_DOOR_ADDRESS', 'example.test'],
      ['HOLO_PEER_DOOR', 'maybe'],
    ] as const)
      expect(doorOf('', { [variable]: value })).rejects.toMatchObject({
        code: 'settings-invalid',
        message: expect.stringContaining(`The environment variable ${variable} `),
      })
  })
})

describe('holo-peer.substituters', () => {
  const settingsFrom = (substituters: unknown) =>
    loadSettings(fileOf(JSON.stringify({ 'holo-peer': { substituters } })), { environment: {} })
  const failureFrom = async (substituters: unknown): Promise<string> => {
    try {
      await settingsFrom(substituters)
    } catch (error) {
      if (error instanceof HoloError && error.code === 'settings-invalid') return error.message
      throw error
    }
    throw new Error('no error was thrown')
  }

  test('puts peers first, unless the list says where', async () => {
    const labels = async (list: unknown) => (await settingsFrom(list)).substituters.map(({ address }) => address.label)
    expect(await labels([])).toEqual(['peers'])
    expect(await labels(['https://a.test/'])).toEqual(['peers', 'https://a.test/'])
    expect(await labels(['https://a.test/', 'peers'])).toEqual(['https://a.test/', 'peers'])
    const urgent = { url: 'https://b.test/', priority: 1 }
    expect(await labels(['https://a.test/', 'peers', urgent])).toEqual(['https://b.test/', 'https://a.test/', 'peers'])
  })

  test('reads the terms of an entry', async () => {
    const entry = {
      url: 's3://bucket/',
      trusted: true,
      timeout: '30s',
      'connect-timeout': '500ms',
      retries: 0,
      bandwidth: '1.5 MB/s',
      'credentials-env': 'S3_KEY',
    }
    expect((await settingsFrom(['peers', entry])).substituters[1]).toMatchObject({
      trusted: true,
      timeoutMs: 30_000,
      connectTimeoutMs: 500,
      retries: 0,
      bytesPerSecond: 1_500_000,
      credentialsEnv: 'S3_KEY',
    })
  })

  test('says what is wrong with an entry, and shows no credentials', async () => {
    expect(await failureFrom(['gopher://x'])).toContain('gopher')
    expect(await failureFrom([{ url: 'https://a.test/', trust: true }])).toContain('trust')
    expect(await failureFrom([{ url: 'https://a.test/', timeout: 'soon' }])).toContain('duration')
    expect(await failureFrom([{ url: 'https://a.test/', bandwidth: 'much' }])).toContain('50 MB/s')
    expect(await failureFrom(['https://a.test/', 'https://a.test/'])).toContain('twice')
    expect(await failureFrom([{ url: 'peers', trusted: true }])).toContain('trusted')
    const places = { 'credentials-env': 'A', 'credentials-file': '/b' }
    expect(await failureFrom([{ url: 'https://a.test/', ...places }])).toContain('both')
    expect(await failureFrom(['https://robot:s3cret@a.test/'])).not.toContain('s3cret')
  })
})
