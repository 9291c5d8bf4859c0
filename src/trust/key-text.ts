/**
 * A public key as people pass it on: `name:base64`, the name for them and the 32 bytes for machines.
 *
 * Trust goes by the bytes alone; two keys of one name are two keys. No cryptography here, so that reports can show keys
 * without loading any.
 */
import { HoloError } from '../base/errors.ts'

/** A public key with the name that its owner gave it. */
export interface NamedKey {
  readonly name: string
  /** 32 bytes, ed25519. */
  readonly publicKey: Uint8Array
}

/** Letters, digits, `.`, `_` and `-`, 1 to 64: also the name of a file. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const KEY_BYTES = 32

export function isKeyName(text: string): boolean {
  return NAME.test(text)
}

/** `factory:` and 44 characters of base64. */
export function formatKey({ name, publicKey }: NamedKey): string {
  return `${name}:${Uint8Array.from(publicKey).toBase64()}`
}

/** @returns undefined where `text` is not exactly what `formatKey` writes */
export function parseKey(text: string): NamedKey | undefined {
  const colon = text.indexOf(':')
  const name = text.slice(0, Math.max(0, colon))
  const publicKey = parseBase64(text.slice(colon + 1), KEY_BYTES)
  return isKeyName(name) && publicKey !== undefined ? { name, publicKey } : undefined
}

/** @throws {HoloError} blame `input`, code `key-malformed` */
export function requireKey(text: string): NamedKey {
  const key = parseKey(text.trim())
  if (key !== undefined) return key
  throw new HoloError(`"${text.trim().slice(0, 120)}" is not a public key`, {
    code: 'key-malformed',
    blame: 'input',
    hint: 'write it as `holo-peer keys export` prints it there: name:base64',
  })
}

/** @throws {HoloError} blame `input`, code `key-name-invalid` */
export function requireKeyName(text: string): string {
  if (isKeyName(text)) return text
  throw new HoloError(`"${text.slice(0, 80)}" cannot be the name of a key`, {
    code: 'key-name-invalid',
    blame: 'input',
    hint: 'use 1 to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit',
  })
}

/** Bytes in the one base64 that stands for them: padded, no white space. @returns undefined where `text` is another one */
export function parseBase64(text: string, length: number): Uint8Array | undefined {
  if (text.length !== 4 * Math.ceil(length / 3)) return undefined
  try {
    const bytes = Uint8Array.fromBase64(text)
    return bytes.byteLength === length && bytes.toBase64() === text ? bytes : undefined
  } catch {
    return undefined
  }
}

/** The form in which keys are compared and name files: 64 hex digits. */
export function keyHex(publicKey: Uint8Array): string {
  return Buffer.from(publicKey).toString('hex')
}
