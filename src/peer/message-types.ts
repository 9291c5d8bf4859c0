/** The types of messages: their numbers on the wire, and which of them each version of the protocol knows. */

/** What members say in version 1, beside `hello` and `bye`. */
export const VERSION_1_TYPES = [
  'have',
  'catalog',
  'want',
  'parts',
  'missing',
  'cancel',
  'credit',
  'ask',
  'holding',
] as const

/** What version 3 adds. */
export const VERSION_3_TYPES = ['lease'] as const

/** What version 4 adds. */
export const VERSION_4_TYPES = ['want-rest', 'catalog-coming'] as const

/** First byte of a frame. `hello` and `bye` keep their number and form in all versions. */
export const TYPES = [
  'hello',
  'bye',
  ...VERSION_1_TYPES,
  'lane-wish',
  'lane-offer',
  'pieces-held',
  'pieces-got',
  'want-pieces',
  'piece',
  'piece-more',
  'refuse-pieces',
  'cancel-pieces',
  'choke',
  'piece-table',
  'signatures',
  ...VERSION_3_TYPES,
  ...VERSION_4_TYPES,
] as const

/** Whether what is decoded of a frame keeps bytes of it for longer than it takes to deal with it: chunks wait for their reader. */
export function isKept(frame: Uint8Array): boolean {
  return frame[0] === TYPES.indexOf('parts')
}
