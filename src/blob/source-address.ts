/**
 * Where environments can come from, as a URI in settings or on the command line.
 *
 * Pure. A URI never bears credentials: it stands in messages and logs. What each kind means is the business of
 * `src/substituters`.
 */
import { SOURCE_ADDRESS_CHARACTERS_MAX } from '../base/limits.ts'

/** A source by kind. `label` is the URI as it stands in every message. */
export type SourceAddress =
  | { readonly kind: 'peers'; readonly label: string }
  /** The static tree of a web server; `url` ends in a slash. */
  | { readonly kind: 'http'; readonly label: string; readonly url: URL }
  /** The same tree in a directory, or a hololib.zip, by absolute path. */
  | { readonly kind: 'file'; readonly label: string; readonly path: string }

export type SourceKind = SourceAddress['kind']

/**
 * Parse `peers`, `https://…`, `http://…`, `file:///path`.
 *
 * @returns the address, or what is wrong with the text, as the end of a sentence
 */
export function parseSourceAddress(text: string): SourceAddress | string {
  if (text === 'peers') return { kind: 'peers', label: 'peers' }
  if (text.length > SOURCE_ADDRESS_CHARACTERS_MAX) return `has more than ${SOURCE_ADDRESS_CHARACTERS_MAX} characters`
  const url = URL.parse(text)
  if (url === null) return 'is neither `peers` nor a URI'
  if (url.username !== '' || url.password !== '') {
    return 'bears credentials, which belong into a variable or a file (credentials-env, credentials-file)'
  }
  if (url.hash !== '') return 'has a fragment, which means nothing here'
  switch (url.protocol) {
    case 'http:':
    case 'https:':
      if (url.search !== '') return 'has a query, which means nothing here'
      return { kind: 'http', label: text, url: directoryOf(url) }
    case 'file:':
      return fileAddress(url, text)
    default:
      return `has the scheme ${url.protocol}//, which is not one of http, https, file`
  }
}

function fileAddress(url: URL, label: string): SourceAddress | string {
  if (url.hostname !== '') return 'names a host: write file:///path, with three slashes'
  const path = decoded(url.pathname)
  if (path === undefined || path.includes('\0')) return 'has a path that is not UTF-8'
  return { kind: 'file', label, path: path.length > 1 ? path.replace(/\/+$/, '') : path }
}

/** So that names resolve below it. */
function directoryOf(url: URL): URL {
  const directory = new URL(url)
  if (!directory.pathname.endsWith('/')) directory.pathname += '/'
  return directory
}

function decoded(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}
