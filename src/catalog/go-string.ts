/**
 * A string as a literal of Go's encoding/json with HTML escapes, which rcc writes everywhere.
 *
 * @param text well-formed; from a decoder, or after `toWellFormed`
 */
export function goString(text: string): string {
  return JSON.stringify(text).replace(/[<>&\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
