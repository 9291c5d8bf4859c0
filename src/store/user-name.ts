/**
 * The name of the user that this process runs as, as rcc writes it into its notes on locks.
 *
 * Read from /etc/passwd, as rcc's Go does: `userInfo` of the runtime only repeats the variable USER, which a service or
 * a `sudo` leaves unset or wrong.
 */
import * as fs from 'node:fs'
import { PASSWD_BYTES_MAX } from '../base/limits.ts'

/** @returns `anonymous`, as rcc, where nobody knows */
export function userName(
  environment: Readonly<Record<string, string | undefined>>,
  passwdFile = '/etc/passwd',
): string {
  const uid = process.getuid?.()
  return (uid === undefined ? undefined : nameIn(passwdFile, uid)) ?? (environment.USER || 'anonymous')
}

function nameIn(passwdFile: string, uid: number): string | undefined {
  try {
    if (fs.statSync(passwdFile).size > PASSWD_BYTES_MAX) return undefined
    for (const line of fs.readFileSync(passwdFile, 'utf8').split('\n')) {
      const [name, , id] = line.split(':')
      if (name !== undefined && name !== '' && !name.startsWith('#') && id === String(uid)) return name
    }
  } catch {
    // No such file on this system: the variable has to do.
  }
  return undefined
}
