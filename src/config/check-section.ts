/**
 * One section of settings held against its schema: the first thing that is wrong becomes one error that names the entry
 * and, where it can, says what was probably meant.
 */
import { closest, distance } from 'fastest-levenshtein'
import { HoloError } from '../base/errors.ts'
import { z } from '../base/schema.ts'

/**
 * @param nameOf how the entry at a path inside the section is called in an error, at the start of a sentence
 * @throws {HoloError} blame `input`, code `settings-invalid`: an unknown key, a value of the wrong form
 */
export function checkSection<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  nameOf: (path: readonly PropertyKey[]) => string,
): z.infer<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  if (issue === undefined) throw invalidSettings(`${nameOf([])} is not valid`)
  if (issue.code === 'unrecognized_keys') {
    const unknown = issue.keys[0] ?? ''
    throw invalidSettings(
      `${nameOf([...issue.path, unknown])} is not a setting that holo-peer knows`,
      didYouMean(unknown, knownKeysAt(schema, issue.path)),
    )
  }
  const wrong = valueAt(value, issue.path)
  if (issue.code === 'invalid_value' && typeof wrong === 'string') {
    const known = issue.values.map(String)
    throw invalidSettings(
      `${nameOf(issue.path)} is "${wrong}", which is not one of ${known.join(', ')}`,
      didYouMean(wrong, known),
    )
  }
  throw invalidSettings(`${nameOf(issue.path)} is wrong: ${issue.message}`)
}

/** An error about settings, wherever they stand. */
export function invalidSettings(message: string, hint = 'correct that entry and run the command again'): HoloError {
  return new HoloError(message, { code: 'settings-invalid', blame: 'input', hint })
}

function didYouMean(wrong: string, known: readonly string[]): string {
  const nearest = closest(wrong, known)
  const near = nearest !== undefined && distance(wrong, nearest) <= Math.max(2, wrong.length / 3)
  return near ? `did you mean ${nearest}?` : `known here: ${known.join(', ')}`
}

function knownKeysAt(section: z.ZodType, path: readonly PropertyKey[]): string[] {
  let schema: unknown = section
  for (const key of path) {
    const shape = unwrap(schema)
    schema = shape instanceof z.ZodObject ? shape.shape[String(key)] : undefined
  }
  const found = unwrap(schema)
  return found instanceof z.ZodObject ? Object.keys(found.shape) : []
}

function unwrap(schema: unknown): unknown {
  return schema instanceof z.ZodOptional ? unwrap(schema.unwrap()) : schema
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let found = value
  for (const key of path)
    found = typeof found === 'object' && found !== null ? (found as Record<PropertyKey, unknown>)[key] : undefined
  return found
}
