/**
 * Credentials of a source: from a variable or a file, never from a URI, and never in a message.
 */
import { readFileSync, statSync } from 'node:fs'
import { HoloError, messageOf } from '../base/errors.ts'
import { CREDENTIALS_BYTES_MAX } from '../base/substituter-limits.ts'

/** Where they stand; both undefined: there are none. */
export interface CredentialsPlace {
  readonly credentialsEnv?: string | undefined
  readonly credentialsFile?: string | undefined
}

/**
 * @param label of the source, for messages
 * @returns the text without white space at its ends, or undefined where no place is named
 * @throws {HoloError} blame `input`: the variable is not set, the file cannot be read, or there is nothing in it
 */
export function readCredentials(
  label: string,
  { credentialsEnv, credentialsFile }: CredentialsPlace,
  environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
  if (credentialsEnv !== undefined) {
    const text = environment[credentialsEnv]?.trim() ?? ''
    if (text !== '') return checked(label, text)
    throw missing(`The variable ${credentialsEnv}, which holds the credentials for ${label}, is not set`)
  }
  if (credentialsFile === undefined) return undefined
  try {
    const { size } = statSync(credentialsFile)
    if (size > CREDENTIALS_BYTES_MAX) throw new Error(`it has ${size} bytes, at most ${CREDENTIALS_BYTES_MAX} are read`)
    const text = readFileSync(credentialsFile, 'utf8').trim()
    if (text === '') throw new Error('it is empty')
    return checked(label, text)
  } catch (error) {
    if (error instanceof HoloError) throw error
    throw missing(
      `The file ${credentialsFile}, which holds the credentials for ${label}, cannot be read: ${messageOf(error)}`,
    )
  }
}

/** The value of an Authorization header: as it stands where it names a scheme, else by its form. */
export function authorizationOf(credentials: string): string {
  if (/^[A-Za-z][A-Za-z0-9-]* \S/.test(credentials)) return credentials
  if (credentials.includes(':')) return `Basic ${Buffer.from(credentials).toString('base64')}`
  return `Bearer ${credentials}`
}

/** Control characters would end a header. */
function checked(label: string, text: string): string {
  if (!/\p{Cc}/u.test(text)) return text
  throw missing(`The credentials for ${label} contain line breaks or other control characters`)
}

function missing(message: string): HoloError {
  return new HoloError(message, {
    code: 'credentials-missing',
    blame: 'input',
    hint: 'set it, or correct credentials-env or credentials-file of that entry',
  })
}
