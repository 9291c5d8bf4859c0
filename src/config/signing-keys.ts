/**
 * Named signing keys of the state folder, `keys/<name>.key`, beside the machine's own: for publishers whose word is to
 * count under a name, on whatever machine it is given.
 *
 * Secrets, kept as the machine's key is: the folder 0700, files 0600, one that others could read is refused. To move a key
 * to another machine, copy its file.
 */
import * as fs from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { HoloError, hostError, systemCodeOf } from '../base/errors.ts'
import { SIGNING_KEYS_MAX } from '../base/limits.ts'
import type { StatePaths } from '../catalog/layout.ts'
import { isKeyName, requireKeyName } from '../trust/key-text.ts'
import { decodeKeyPair, encodeKeyPair, type KeyPair, keyPairFrom, randomSecret } from '../trust/keys.ts'
import { KEY_BYTES_MAX, makeStateFolder, readSecretFile, writeSecretFile } from './state.ts'

type Place = Pick<StatePaths, 'signingKeys'>
const ENDING = '.key'

/** Names, sorted. @throws {HoloError} blame `host` */
export async function signingKeyNames({ signingKeys: directory }: Place): Promise<readonly string[]> {
  try {
    const files = (await fs.readdir(directory)).filter((file) => file.endsWith(ENDING))
    const names = files.map((file) => file.slice(0, -ENDING.length)).filter(isKeyName)
    return names.sort().slice(0, SIGNING_KEYS_MAX)
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return []
    throw hostError(`list ${directory}`, error)
  }
}

/**
 * @returns undefined where there is none of that name
 * @throws {HoloError} blame `input`: no key can have that name; blame `host`: damaged, or readable by others
 */
export async function loadSigningKey(place: Place, name: string): Promise<KeyPair | undefined> {
  const path = pathOf(place, name)
  const text = await readSecretFile(path, KEY_BYTES_MAX)
  if (text === undefined) return undefined
  const keyPair = decodeKeyPair(text)
  if (keyPair !== undefined) return keyPair
  throw new HoloError(`The signing key ${path} is damaged`, {
    code: 'signing-key-damaged',
    blame: 'host',
    hint: 'restore it from a backup, or remove it and make a new one',
  })
}

/**
 * Make a key of a new name.
 *
 * @throws {HoloError} blame `input`: no key can have that name, or one has it; there are too many; blame `host`
 */
export async function makeSigningKey(place: Place, name: string): Promise<KeyPair> {
  const keyPair = keyPairFrom(randomSecret())
  const path = pathOf(place, name)
  if ((await signingKeyNames(place)).length >= SIGNING_KEYS_MAX) {
    throw new HoloError(`This machine can have ${SIGNING_KEYS_MAX} signing keys at most`, {
      code: 'keys-too-many',
      blame: 'input',
      hint: `remove those that nobody uses any more from ${place.signingKeys}`,
    })
  }
  await makeFolders(place)
  if (await writeSecretFile(path, encodeKeyPair(keyPair), 'unless it exists')) return keyPair
  throw new HoloError(`This machine has a signing key ${name} already`, {
    code: 'key-name-taken',
    blame: 'input',
    hint: `choose another name, or give it a new secret with \`holo-peer keys rotate ${name}\``,
  })
}

/** Put a new key in the place of the one of that name, whose secret is gone then. @throws {HoloError} blame `host` */
export async function replaceSigningKey(place: Place, name: string, keyPair: KeyPair): Promise<void> {
  await makeFolders(place)
  await writeSecretFile(pathOf(place, name), encodeKeyPair(keyPair), 'in any case')
}

async function makeFolders({ signingKeys: directory }: Place): Promise<void> {
  await makeStateFolder(dirname(directory))
  await makeStateFolder(directory)
}

function pathOf({ signingKeys: directory }: Place, name: string): string {
  return join(directory, `${requireKeyName(name)}${ENDING}`)
}
