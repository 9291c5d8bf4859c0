import { expect, test } from 'bun:test'
import { parseDigest } from '../../src/blob/digest.ts'
import {
  blobPath,
  catalogInfoPath,
  globalLockPath,
  type Roots,
  resolveRobocorpHome,
  resolveRoots,
  sharedMarker,
  spacePaths,
  statePaths,
  usedStampPath,
} from '../../src/catalog/layout.ts'
import { catalogName } from '../../src/catalog/names.ts'
import { thrownBy } from './support.ts'

const linux = { os: 'linux', arch: 'amd64' } as const
const windows = { os: 'windows', arch: 'amd64' } as const
const surroundings = (environment: Record<string, string>, platform: Roots['platform'] = linux) => ({
  environment,
  platform,
  workingDirectory: platform.os === 'windows' ? 'D:\\work' : '/somewhere',
})

test('resolveRobocorpHome() follows ROBOCORP_HOME, expanded and made absolute, else the default', () => {
  const resolved = (environment: Record<string, string>) => resolveRobocorpHome(surroundings(environment))
  expect(resolved({ HOME: '/home/robot' })).toBe('/home/robot/.robocorp')
  expect(resolved({ HOME: '/home/robot', ROBOCORP_HOME: '' })).toBe('/home/robot/.robocorp')
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's braces are what is tested
  expect(resolved({ HOME: '/h', ROBOCORP_HOME: '$HOME/x$SUB/${UNSET}y', SUB: '1' })).toBe('/h/x1/y')
  expect(resolved({ ROBOCORP_HOME: 'rel/ative' })).toBe('/somewhere/rel/ative')
  expect(thrownBy(() => resolved({})).code).toBe('home-unknown')
})

test('resolveRobocorpHome() expands both kinds of variables on windows', () => {
  const resolved = (environment: Record<string, string>) => resolveRobocorpHome(surroundings(environment, windows))
  expect(resolved({ LOCALAPPDATA: 'C:\\Users\\jane\\AppData\\Local' })).toBe(
    'C:\\Users\\jane\\AppData\\Local\\robocorp',
  )
  expect(resolved({ LOCALAPPDATA: 'C:\\L', ROBOCORP_HOME: '%LOCALAPPDATA%\\$A\\%NONE%', A: 'b' })).toBe(
    'C:\\L\\b\\%NONE%',
  )
})

test('resolveRoots() asks once for the marker of the shared holotree and believes the answer', () => {
  const asked: string[] = []
  const at = (shared: boolean) =>
    resolveRoots(surroundings({ HOME: '/home/robot' }), (path) => {
      asked.push(path)
      return shared
    })
  expect(at(false)).toMatchObject({
    shared: false,
    userIdentity: 'dc4d952',
    holotree: '/home/robot/.robocorp/holotree',
    hololib: '/home/robot/.robocorp/hololib',
  })
  expect(at(true)).toMatchObject({ shared: true, holotree: '/opt/robocorp/ht', hololib: '/opt/robocorp/ht/lib' })
  expect(asked).toEqual(Array(2).fill('/opt/robocorp/ht/lib/catalog/init/dc4d952'))
  expect(sharedMarker({ environment: { ProgramData: 'E:\\P' }, platform: windows }, 'abc')).toBe(
    'E:\\P\\robocorp\\ht\\lib\\catalog\\init\\abc',
  )
})

test('the paths of a library and a space are those of rcc', () => {
  const roots = resolveRoots(surroundings({ HOME: '/h' }), () => false)
  const digest = parseDigest('b57350fdfe5b0d596e5ebba10a6a420f27c6b25ac7923fdf3543f6245cc0b304')
  if (digest === undefined) throw new Error('no digest')
  const library = '/h/.robocorp/hololib'
  expect(blobPath(roots, digest)).toBe(`${library}/library/b5/73/50/${digest}`)
  const name = catalogName('56fea9c357370d29', 'linux_amd64')
  expect(catalogInfoPath(roots, name)).toBe(`${library}/catalog/56fea9c357370d29v12.linux_amd64.info`)
  expect(usedStampPath(roots, '56fea9c357370d29')).toBe(`${library}/used/56fea9c357370d29.${roots.userIdentity}`)
  expect(globalLockPath(roots)).toBe('/h/.robocorp/holotree/global.lck')
  expect(spacePaths('/h/s')).toMatchObject({
    directory: '/h/s',
    meta: '/h/s.meta',
    metaInfo: '/h/s.meta.info',
    lock: '/h/s.lck',
    use: '/h/s.use',
  })
})

test('statePaths() keeps all of ours below one directory of its own', () => {
  const { directory, ...files } = statePaths(resolveRoots(surroundings({ HOME: '/h' }), () => true))
  expect(directory).toBe('/h/.robocorp/holo-peer')
  for (const path of Object.values(files)) expect(path).toStartWith(`${directory}/`)
  expect(new Set(Object.values(files)).size).toBe(Object.keys(files).length)
})
