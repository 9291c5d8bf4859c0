/**
 * A self-signed certificate, made anew by every process that listens and kept nowhere.
 *
 * It is trusted by its SHA-256 alone, which travels over a session that has proved both machines; no name, date or
 * issuer in it means anything. X.509 version 3 with an ECDSA key on P-256 (RFC 5280, RFC 5758), because the TLS of Bun
 * verifies no ed25519. The few fields are written here, since certificate libraries are a hundred times larger.
 */
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { randomSecret } from '../trust/keys.ts'

export interface Certificate {
  /** PEM, for the listener. */
  readonly certificate: string
  /** PEM, PKCS #8. */
  readonly privateKey: string
  /** SHA-256 of the DER form, 32 bytes. */
  readonly sha256: Uint8Array
}

const INTEGER = 0x02
const BIT_STRING = 0x03
const OBJECT = 0x06
const UTF8_STRING = 0x0c
const TIME = 0x18
const SEQUENCE = 0x30
const SET = 0x31
const VERSION = 0xa0

/** 1.2.840.10045.4.3.2, ecdsa-with-SHA256 */
const ECDSA_SHA256 = der(SEQUENCE, der(OBJECT, bytes(0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2)))
/** 2.5.4.3, commonName */
const COMMON_NAME = der(OBJECT, bytes(0x55, 4, 3))
const NAME = der(SEQUENCE, der(SET, der(SEQUENCE, COMMON_NAME, der(UTF8_STRING, Buffer.from('holo-peer')))))
/** Clocks of robots may be wrong by years: valid whenever (RFC 5280, 4.1.2.5: without an end). */
const ALWAYS = der(SEQUENCE, der(TIME, Buffer.from('20000101000000Z')), der(TIME, Buffer.from('99991231235959Z')))

/** Make a key and its certificate; takes about a millisecond. */
export function makeCertificate(): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const serial = randomSecret(16)
  // Positive, and without a leading zero.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  const signed = der(
    SEQUENCE,
    der(VERSION, der(INTEGER, bytes(2))),
    der(INTEGER, serial),
    ECDSA_SHA256,
    NAME,
    ALWAYS,
    NAME,
    publicKey.export({ type: 'spki', format: 'der' }),
  )
  const signature = sign('sha256', signed, privateKey)
  const whole = der(SEQUENCE, signed, ECDSA_SHA256, der(BIT_STRING, bytes(0), signature))
  const lines =
    Buffer.from(whole)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`,
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    sha256: certificateSha256(whole),
  }
}

/** @param certificate its DER form @returns 32 bytes */
export function certificateSha256(certificate: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(certificate).digest())
}

/** One value of DER (X.690): tag, length, content. Contents here stay below 64 KiB. */
function der(tag: number, ...content: readonly Uint8Array[]): Uint8Array {
  const body = Buffer.concat(content)
  const length = body.byteLength
  const lengthBytes = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([bytes(tag, ...lengthBytes), body])
}

function bytes(...values: readonly number[]): Uint8Array {
  return Uint8Array.from(values)
}
