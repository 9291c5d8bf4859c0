/**
 * `keys`: the keys that this machine signs with, those whose word counts here, and those that are revoked here.
 */
import { systemClock } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import { GRACE_MS_MAX, STATE_LOCK_WAIT_MS } from '../base/limits.ts'
import { loadKeyLists, saveKeyLists } from '../config/key-lists-file.ts'
import { SignatureFolder } from '../config/signature-folder.ts'
import { loadSigningKey, makeSigningKey, replaceSigningKey, signingKeyNames } from '../config/signing-keys.ts'
import { loadMachineKey, makeStateFolder } from '../config/state.ts'
import { acquireLock } from '../store/lock.ts'
import { formatKey, type NamedKey, parseKey, requireKey } from '../trust/key-text.ts'
import { fingerprint, type KeyPair, keyPairFrom, randomSecret } from '../trust/keys.ts'
import { type KeyLists, type RevokedKey, revocations, revokeKey, trustedAt, trustKey } from '../trust/trusted-keys.ts'
import type { Machine } from './machine.ts'
import { settingsOf } from './settings-of.ts'

/** A key pair with its name; that of a machine's own key is its fingerprint. */
export interface SigningKey extends NamedKey {
  readonly keyPair: KeyPair
}

/** A public key as commands show it. */
export interface KeyView {
  readonly name: string
  /** `name:base64`, as `keys trust` takes it. */
  readonly key: string
  readonly fingerprint: string
  readonly revoked: boolean
}

export interface TrustedKeyView extends KeyView {
  readonly from: 'file' | 'settings'
  /** ISO 8601; null where it counts for good. */
  readonly until: string | null
}

export interface KeysView {
  /** Whose word counts for what comes from peers. */
  readonly rule: 'fleet' | 'keys'
  readonly machine: KeyView
  readonly signing: readonly KeyView[]
  readonly trusted: readonly TrustedKeyView[]
  readonly revoked: readonly {
    readonly key: string
    readonly name: string | null
    readonly from: 'file' | 'settings'
  }[]
}

/** @throws {HoloError} blame `host` or `input`: state folder or settings cannot be used */
export async function listKeys(machine: Machine): Promise<KeysView> {
  const { trust } = await settingsOf(machine)
  const lists = await loadKeyLists(machine.state)
  const settled = trust.revokedKeys.map((key): RevokedKey => ({ key, sinceMs: 0 }))
  const isRevoked = revocations([...lists.revoked, ...settled])
  const view = (key: NamedKey): KeyView => ({
    name: key.name,
    key: formatKey(key),
    fingerprint: fingerprint(key.publicKey),
    revoked: isRevoked.bans(key.publicKey),
  })
  const [own, ...signing] = await ownKeys(machine)
  const listed = trustedAt(lists, systemClock.wallMs()).map(({ untilMs, ...key }): TrustedKeyView => {
    return { ...view(key), from: 'file', until: untilMs === undefined ? null : new Date(untilMs).toISOString() }
  })
  const fromSettings = trust.trustedKeys.flatMap((text): TrustedKeyView[] => {
    const key = parseKey(text)
    return key === undefined ? [] : [{ ...view(key), from: 'settings', until: null }]
  })
  return {
    rule: trust.rule,
    machine: view(own),
    signing: signing.map(view),
    trusted: [...listed, ...fromSettings],
    revoked: [
      ...lists.revoked.map(({ key, name }) => ({ key, name: name ?? null, from: 'file' as const })),
      ...settled.map(({ key }) => ({ key, name: null, from: 'settings' as const })),
    ],
  }
}

/** The machine's key, then the named ones. @throws {HoloError} blame `host` */
export async function ownKeys({ state }: Pick<Machine, 'state'>): Promise<readonly [SigningKey, ...SigningKey[]]> {
  const named: SigningKey[] = []
  for (const name of await signingKeyNames(state)) {
    const keyPair = await loadSigningKey(state, name)
    if (keyPair !== undefined) named.push({ name, publicKey: keyPair.publicKey, keyPair })
  }
  return [await machineKey({ state }), ...named]
}

/** @throws {HoloError} blame `host` */
export async function machineKey({ state }: Pick<Machine, 'state'>): Promise<SigningKey> {
  const keyPair = await loadMachineKey(state)
  return { name: fingerprint(keyPair.publicKey), publicKey: keyPair.publicKey, keyPair }
}

/**
 * The key to sign with.
 *
 * @param name undefined for the machine's own
 * @throws {HoloError} blame `input`, code `key-unknown`: there is none of that name; blame `host`
 */
export async function signingKey({ state }: Pick<Machine, 'state'>, name: string | undefined): Promise<SigningKey> {
  const own = await machineKey({ state })
  if (name === undefined || name === own.name) return own
  const keyPair = await loadSigningKey(state, name)
  if (keyPair !== undefined) return { name, publicKey: keyPair.publicKey, keyPair }
  throw new HoloError(`This machine has no signing key ${name}`, {
    code: 'key-unknown',
    blame: 'input',
    hint: `make it with \`holo-peer keys generate ${name}\`, or see \`holo-peer keys list\``,
  })
}

/** @throws {HoloError} blame `input`: as `makeSigningKey`; blame `host` */
export async function generateKey(machine: Machine, name: string, signal: AbortSignal): Promise<KeyView> {
  return underTrustLock(machine, async () => shown({ name, ...(await makeSigningKey(machine.state, name)) }), signal)
}

/** @param name undefined for the machine's own key @throws {HoloError} as `signingKey` */
export async function exportKey(machine: Machine, name: string | undefined): Promise<KeyView> {
  return shown(await signingKey(machine, name))
}

/**
 * @param forMs how long it counts; undefined for good
 * @throws {HoloError} blame `input`: `text` is no key, or it is revoked here; blame `host`
 */
export async function trustKeyHere(
  machine: Machine,
  text: string,
  forMs: number | undefined,
  signal: AbortSignal,
): Promise<KeyView & { readonly until: string | null }> {
  const key = requireKey(text)
  const untilMs = forMs === undefined ? undefined : systemClock.wallMs() + boundedGrace(forMs)
  await changeLists(machine, async (lists) => trustKey(lists, key, untilMs), signal)
  return { ...shown(key), until: untilMs === undefined ? null : new Date(untilMs).toISOString() }
}

/** @throws {HoloError} blame `input`: no known key is meant; blame `host` */
export async function revokeKeyHere(
  machine: Machine,
  text: string,
  signal: AbortSignal,
): Promise<readonly { readonly key: string; readonly name: string | null }[]> {
  let meant: readonly RevokedKey[] = []
  await changeLists(
    machine,
    async (lists) => {
      const folder = new SignatureFolder(machine.state)
      const signers = folder.names().flatMap((name) => folder.of(name).map(({ key }) => key))
      const known = [...(await ownKeys(machine)), ...signers]
      const change = revokeKey(lists, text, known, systemClock.wallMs())
      meant = change.meant
      return change.lists
    },
    signal,
  )
  return meant.map(({ key, name }) => ({ key, name: name ?? null }))
}

export interface KeyRotation extends KeyView {
  /** The key that it takes the place of, as `keys revoke` takes it. */
  readonly old: string
  /** Until when the old one is trusted here, ISO 8601. */
  readonly oldUntil: string
}

/**
 * Give a signing key of this machine a new secret; the old key stays trusted here for `graceMs`.
 *
 * @throws {HoloError} blame `input`: there is no such key, or the grace is too long; blame `host`
 */
export async function rotateKey(
  machine: Machine,
  name: string,
  graceMs: number,
  signal: AbortSignal,
): Promise<KeyRotation> {
  const untilMs = systemClock.wallMs() + boundedGrace(graceMs)
  const keyPair = keyPairFrom(randomSecret())
  let old: SigningKey | undefined
  await changeLists(
    machine,
    async (lists) => {
      old = await signingKey(machine, name)
      if (old.name === (await machineKey(machine)).name) throw machineKeyStays()
      return revocations(lists.revoked).bans(old.publicKey) ? lists : trustKey(lists, old, untilMs)
    },
    signal,
    () => replaceSigningKey(machine.state, name, keyPair),
  )
  if (old === undefined) throw new TypeError('the lists were changed without a look at the key')
  const view = shown({ name, publicKey: keyPair.publicKey })
  return { ...view, old: formatKey(old), oldUntil: new Date(untilMs).toISOString() }
}

/** One change of keys or signatures at a time. @throws {HoloError} blame `locked`, `host`; `signal.reason` */
export async function underTrustLock<Result>(
  { state }: Pick<Machine, 'state'>,
  work: () => Promise<Result>,
  signal: AbortSignal,
): Promise<Result> {
  await makeStateFolder(state.directory)
  await using _held = await acquireLock(state.trustLock, { waitMs: STATE_LOCK_WAIT_MS, shared: false }, signal)
  return await work()
}

/** @param after what else belongs to the change, once the lists are written */
async function changeLists(
  machine: Machine,
  change: (lists: KeyLists) => Promise<KeyLists>,
  signal: AbortSignal,
  after: () => Promise<void> = async () => {},
): Promise<void> {
  await underTrustLock(
    machine,
    async () => {
      await saveKeyLists(machine.state, await change(await loadKeyLists(machine.state)))
      await after()
    },
    signal,
  )
}

function shown(key: NamedKey): KeyView {
  return { name: key.name, key: formatKey(key), fingerprint: fingerprint(key.publicKey), revoked: false }
}

function boundedGrace(ms: number): number {
  if (ms <= GRACE_MS_MAX) return ms
  throw new HoloError(`A key can be trusted for ${GRACE_MS_MAX / 86_400_000} days at most, or for good`, {
    code: 'grace-too-long',
    blame: 'input',
    hint: 'choose a shorter time',
  })
}

function machineKeyStays(): HoloError {
  return new HoloError("The machine's own key cannot be rotated: it is who this machine is to its fleet", {
    code: 'machine-key-stays',
    blame: 'input',
    hint: 'to give the machine a new identity, stop its daemon and remove machine.key from its state folder',
  })
}
