/**
 * Our own state folder, `ROBOCORP_HOME/holo-peer`: the machine's key and the fleets that it belongs to.
 *
 * Both are secrets: the folder is made 0700, the files 0600, and one that others could read is refused rather than
 * used. Files appear whole or not at all, and two processes that start together end with the same key.
 */
import { randomUUID } from 'node:crypto'
import * as fs from 'node:fs/promises'
import { dirname } from 'node:path'
import { HoloError, hostError, messageOf, systemCodeOf } from '../base/errors.ts'
import { BOOTSTRAPS_MAX, FLEETS_JSON_BYTES_MAX, FLEETS_MAX, PREVIOUS_SECRETS_MAX } from '../base/limits.ts'
import { z } from '../base/schema.ts'
import { createFleet, type Fleet, mergeBootstraps } from '../trust/fleet.ts'
import { decodeKeyPair, encodeKeyPair, type KeyPair, keyPairFrom, randomSecret } from '../trust/keys.ts'
import { rotateFleet, type Succession, secretsOf, succeed } from '../trust/rotation.ts'

/** A key file: one line. */
export const KEY_BYTES_MAX = 1024

/** Where the two files stand; part of `StatePaths` of the catalog room. */
export interface StateFiles {
  readonly machineKey: string
  readonly fleets: string
}

/**
 * The machine's key pair, made at the first call.
 *
 * @throws {HoloError} blame `host`: the file is readable by others, damaged, or cannot be read or written
 */
export async function loadMachineKey({ machineKey: path }: Pick<StateFiles, 'machineKey'>): Promise<KeyPair> {
  const known = await readSecretFile(path, KEY_BYTES_MAX)
  if (known !== undefined) return parseKey(known, path)
  await makeStateFolder(dirname(path))
  // link() fails where the name is taken, so of two that race here one wins, and both read the winner's key.
  await writeSecretFile(path, encodeKeyPair(keyPairFrom(randomSecret())), 'unless it exists')
  const written = await readSecretFile(path, KEY_BYTES_MAX)
  if (written === undefined) throw hostError(`read the machine key ${path}`, new Error('it was removed just now'))
  return parseKey(written, path)
}

/**
 * The fleets that this machine has joined, in the order of joining.
 *
 * @throws {HoloError} blame `host`: the file is readable by others, malformed, or cannot be read
 */
export async function loadFleets({ fleets: path }: Pick<StateFiles, 'fleets'>): Promise<readonly Fleet[]> {
  const text = await readSecretFile(path, FLEETS_JSON_BYTES_MAX)
  if (text === undefined) return []
  try {
    return fleetsFile.parse(JSON.parse(text)).fleets.map((entry) => {
      const fleet = createFleet(entry.name, Uint8Array.fromHex(entry.secret), entry.bootstraps)
      if (entry.previous === undefined) return fleet
      const previous = entry.previous.map(({ secret, untilMs }) => ({ secret: Uint8Array.fromHex(secret), untilMs }))
      return { ...fleet, previous }
    })
  } catch (error) {
    const problem = error instanceof z.ZodError ? z.prettifyError(error).split('\n')[0] : messageOf(error)
    throw new HoloError(`${path} is damaged: ${problem}`, {
      code: 'fleets-damaged',
      blame: 'host',
      hint: 'remove that file and join the fleet again with its invite',
      cause: error,
    })
  }
}

/**
 * Write down that this machine belongs to `fleet`; a fleet with the same secret is the same fleet, and gets the
 * bootstraps of both.
 *
 * @param succession of the invite: where the secret takes the place of one of ours, that fleet keeps its name here
 * @returns the fleet as it is known now
 * @throws {HoloError} blame `input`: another fleet has that name, or there are too many; blame `host` as `loadFleets`
 */
export async function joinFleet(
  files: Pick<StateFiles, 'fleets'>,
  fleet: Fleet,
  succession: Succession | undefined,
  wallMs: number,
): Promise<Fleet> {
  const fleets = await loadFleets(files)
  const same = fleets.find(({ secret }) => Buffer.from(secret).equals(fleet.secret))
  if (same !== undefined) {
    const joined = { ...same, bootstraps: mergeBootstraps(same.bootstraps, fleet.bootstraps) }
    await saveFleets(files, replaced(fleets, same, joined), wallMs)
    return joined
  }
  const succeeded = succession === undefined ? undefined : succeed(fleets, fleet, succession, wallMs)
  if (succeeded !== undefined) {
    await saveFleets(files, replaced(fleets, succeeded.old, succeeded.next), wallMs)
    return succeeded.next
  }
  if (fleets.some(({ name }) => name === fleet.name)) {
    throw new HoloError(`This machine already belongs to another fleet that is called ${fleet.name}`, {
      code: 'fleet-name-taken',
      blame: 'input',
      hint: `use another name, or remove that fleet from ${files.fleets}`,
    })
  }
  await saveFleets(files, [...fleets, fleet], wallMs)
  return fleet
}

/**
 * Give a fleet of this machine a new secret, and write it down; the old one counts until `untilMs`.
 *
 * @param name undefined where the machine belongs to one fleet only
 * @throws {HoloError} blame `input`: there is no such fleet, or the name is needed; else as `rotateFleet`, `loadFleets`
 */
export async function rotateSecret(
  files: Pick<StateFiles, 'fleets'>,
  name: string | undefined,
  secret: Uint8Array,
  { untilMs, wallMs }: { readonly untilMs: number; readonly wallMs: number },
): Promise<Fleet> {
  const fleets = await loadFleets(files)
  const [only, ...others] = fleets
  const old = name === undefined && others.length === 0 ? only : fleets.find((fleet) => fleet.name === name)
  if (old === undefined) {
    const names = fleets.map((fleet) => fleet.name).join(', ')
    throw new HoloError(name === undefined ? 'Which fleet is meant?' : `This machine belongs to no fleet ${name}`, {
      code: 'fleet-unknown',
      blame: 'input',
      hint: fleets.length === 0 ? 'it belongs to none: create or join one first' : `name one of these: ${names}`,
    })
  }
  const next = rotateFleet(old, secret, untilMs, wallMs)
  await saveFleets(files, replaced(fleets, old, next), wallMs)
  return next
}

function replaced(fleets: readonly Fleet[], old: Fleet, next: Fleet): Fleet[] {
  return fleets.map((each) => (each === old ? next : each))
}

/** @throws {HoloError} blame `input`: more secrets than one hello has room for; blame `host` */
async function saveFleets(files: Pick<StateFiles, 'fleets'>, fleets: readonly Fleet[], wallMs: number): Promise<void> {
  const secrets = fleets.flatMap((fleet) => secretsOf(fleet, wallMs)).length
  if (secrets > FLEETS_MAX) {
    throw new HoloError(`This machine would have ${secrets} secrets of fleets that count; it can have ${FLEETS_MAX}`, {
      code: 'fleets-too-many',
      blame: 'input',
      hint: `remove a fleet from ${files.fleets}, or wait until the grace of a rotation is over`,
    })
  }
  const hex = (secret: Uint8Array) => Buffer.from(secret).toString('hex')
  const entries = fleets.map(({ name, secret, bootstraps, previous = [] }) => {
    const counting = previous.filter(({ untilMs }) => untilMs > wallMs)
    const old = counting.map((each) => ({ secret: hex(each.secret), untilMs: each.untilMs }))
    return { name, secret: hex(secret), bootstraps, ...(old.length === 0 ? {} : { previous: old }) }
  })
  await makeStateFolder(dirname(files.fleets))
  await writeSecretFile(files.fleets, `${JSON.stringify({ version: 1, fleets: entries }, null, 2)}\n`, 'in any case')
}

const secretHex = z.string().regex(/^[0-9a-f]{64}$/)

const fleetsFile = z.strictObject({
  version: z.literal(1),
  fleets: z
    .array(
      z.strictObject({
        name: z.string(),
        secret: secretHex,
        bootstraps: z.array(z.string().max(264)).max(BOOTSTRAPS_MAX),
        previous: z
          .array(z.strictObject({ secret: secretHex, untilMs: z.int().min(0) }))
          .max(PREVIOUS_SECRETS_MAX)
          .optional(),
      }),
    )
    .max(FLEETS_MAX),
})

function parseKey(text: string, path: string): KeyPair {
  const keyPair = decodeKeyPair(text)
  if (keyPair !== undefined) return keyPair
  throw new HoloError(`The machine key ${path} is damaged`, {
    code: 'machine-key-damaged',
    blame: 'host',
    hint: 'restore it from a backup, or remove it: this machine then gets a new identity',
  })
}

/** Make the state folder, 0700, with whatever is missing above it. @throws {HoloError} blame `host` */
export async function makeStateFolder(directory: string): Promise<void> {
  try {
    await fs.mkdir(dirname(directory), { recursive: true })
    await fs.mkdir(directory, { mode: 0o700 })
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST') throw hostError(`make the state folder ${directory}`, error)
  }
}

/**
 * A file that must be its owner's alone.
 *
 * @returns undefined where there is no such file
 * @throws {HoloError} blame `host`: it cannot be read, is too long, or others could read it
 */
export async function readSecretFile(path: string, bytesMax: number): Promise<string | undefined> {
  let file: fs.FileHandle | undefined
  try {
    file = await fs.open(path, 'r')
    const { mode, size } = await file.stat()
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new HoloError(`${path} holds a secret, but others can read it (mode ${(mode & 0o777).toString(8)})`, {
        code: 'secret-exposed',
        blame: 'host',
        hint: `run chmod 600 ${path}; if somebody else may have read it, make a new secret`,
      })
    }
    if (size > bytesMax) throw hostError(`read ${path}`, new Error(`it has ${size} bytes, more than ${bytesMax}`))
    return await file.readFile('utf8')
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined
    throw hostError(`read ${path}`, error)
  } finally {
    await file?.close()
  }
}

/**
 * Write a file of 0600 that appears whole or not at all.
 *
 * @returns false where it was not to be written because it exists @throws {HoloError} blame `host`
 */
export async function writeSecretFile(
  path: string,
  text: string,
  when: 'unless it exists' | 'in any case',
): Promise<boolean> {
  const temporary = `${path}.${randomUUID()}`
  try {
    const file = await fs.open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    if (when === 'in any case') await fs.rename(temporary, path)
    else {
      await fs.link(temporary, path)
      await fs.unlink(temporary)
    }
    return true
  } catch (error) {
    await fs.rm(temporary, { force: true })
    if (when === 'unless it exists' && systemCodeOf(error) === 'EEXIST') return false
    throw hostError(`write ${path}`, error)
  }
}
