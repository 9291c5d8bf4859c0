import { expect, test } from 'bun:test'
import {
  catalogName,
  catalogNameParts,
  controllerIdentity,
  matchesCatalogGlob,
  parseCatalogName,
  parsePlatformTag,
  platformTag,
  spaceName,
  stageName,
  UNMANAGED_IDENTITY,
  userIdentity,
} from '../../src/catalog/names.ts'
import { golden, readText, thrownBy } from './support.ts'

const vectors = JSON.parse(readText(golden, 'vectors/identity.json')) as {
  controller_space_name: { controller: string; home: string; name: string; space: string; unmanaged?: string }[]
  stage_identity: { home: string; os_arch: string; stage: string }[]
  user_home_identity: { home: string; identity: string }[]
}

test('userIdentity() names every home as rcc does', () => {
  for (const { home, identity } of vectors.user_home_identity) expect(userIdentity(home)).toBe(identity)
  expect(userIdentity(undefined)).toBe('badcafe')
})

test('spaceName() names every space as rcc does, in 24 bytes', () => {
  for (const { controller, home, name, space, unmanaged } of vectors.controller_space_name) {
    const identity = unmanaged === undefined ? userIdentity(home) : UNMANAGED_IDENTITY
    expect(spaceName({ userIdentity: identity, controller, space })).toBe(name)
    expect(name).toHaveLength(24)
  }
})

test('controllerIdentity() lowers the case of the whole', () => {
  expect(controllerIdentity('Robot.Lab')).toBe('rcc.robot.lab')
})

test('stageName() names every stage as rcc does', () => {
  for (const { home, os_arch, stage } of vectors.stage_identity) {
    const platform = parsePlatformTag(os_arch.replace(' ', '_'))
    if (platform === undefined) throw new Error(os_arch)
    expect(stageName(userIdentity(home), platform)).toBe(stage)
  }
})

test("platformTag() takes Go's names and Node's, and nothing else", () => {
  expect(platformTag('win32', 'x64')).toBe('windows_amd64')
  expect(platformTag('darwin', 'arm64')).toBe('darwin_arm64')
  expect(thrownBy(() => platformTag('freebsd', 'x64')).code).toBe('platform-unsupported')
  expect(thrownBy(() => platformTag('linux', 'constructor')).code).toBe('platform-unsupported')
})

test('parsePlatformTag() refuses what is no tag', () => {
  for (const tag of ['', 'linux', 'linux_amd64_', 'linux_x64', 'win32_amd64', '__proto___amd64', 'LINUX_amd64']) {
    expect(parsePlatformTag(tag)).toBeUndefined()
  }
})

test('parseCatalogName() takes only names that are safe as file names', () => {
  const name = catalogName('56fea9c357370d29', 'linux_amd64')
  expect(String(name)).toBe('56fea9c357370d29v12.linux_amd64')
  expect(catalogNameParts(name)).toEqual({ blueprint: '56fea9c357370d29', platform: 'linux_amd64' })
  for (const text of [
    '56fea9c357370d29v12.linux_amd64.info',
    '56fea9c357370d29v12.linux_amd64\n',
    '../56fea9c357370d29v12.linux_amd64',
    '56fea9c357370d29v12.../../x',
    '56FEA9C357370D29v12.linux_amd64',
    '56fea9c357370d29v11.linux_amd64',
  ]) {
    expect(parseCatalogName(text)).toBeUndefined()
  }
})

test("matchesCatalogGlob() agrees with rcc's glob, which is wider", () => {
  expect(matchesCatalogGlob('56fea9c357370d29v12.linux_amd64')).toBe(true)
  expect(matchesCatalogGlob('5 copy of v12.linux_amd64.bak')).toBe(true)
  expect(matchesCatalogGlob('56fea9c357370d29v12.linux_amd64.info')).toBe(false)
  expect(matchesCatalogGlob('.holo-peer-56fea9c357370d29v12.linux_amd64')).toBe(false)
  expect(matchesCatalogGlob('compress.no')).toBe(false)
})
