/**
 * Where environments can come from, as a URI in settings or on the command line.
 *
 * Pure. A URI never bears credentials: it stands in messages and logs. What each kind means is the business of
 * `src/substituters`.
 */
import { SOURCE_ADDRESS_CHARACTERS_MAX } from '../base/substituter-limits.ts'

/** A source by kind. `label` is the URI as it stands in every message. */
export type SourceAddress =
  | { readonly kind: 'peers'; readonly label: string }
  /** The static tree of a web server; `url` ends in a slash. */
  | { readonly kind: 'http'; readonly label: string; readonly url: URL }
  | { readonly kind: 'rccremote'; readonly label: string; readonly url: URL }
  /** The same tree in an S3 bucket; `prefix` is empty or ends in a slash. */
  | {
      readonly kind: 's3'
      readonly label: string
      readonly bucket: string
      readonly prefix: string
      /** Undefined: that of AWS. */
      readonly endpoint: URL | undefined
      readonly region: string
    }
  /** A repository of an OCI registry; over plain HTTP where `url` says so. */
  | { readonly kind: 'oci'; readonly label: string; readonly url: URL; readonly repository: string }
  /** The same tree in a directory, or a hololib.zip, by absolute path. */
  | { readonly kind: 'file'; readonly label: string; readonly path: string }

const REPOSITORY = /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*$/
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/

/**
 * Parse `peers`, `https://…`, `http://…`, `rccremote+http(s)://host:port`, `s3://bucket/prefix?endpoint=&region=`,
 * `oci://registry/repository` (`oci+http://` for a registry without TLS), `file:///path`.
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
    case 'rccremote+http:':
    case 'rccremote+https:':
      return rccremoteAddress(text)
    case 's3:':
      return s3Address(url, text)
    case 'oci:':
    case 'oci+http:':
      return ociAddress(url, text)
    case 'file:':
      return fileAddress(url, text)
    default:
      return `has the scheme ${url.protocol}//, which is not one of http, https, s3, oci, rccremote+http, rccremote+https, file`
  }
}

function rccremoteAddress(label: string): SourceAddress | string {
  const url = URL.parse(label.slice('rccremote+'.length))
  if (url === null || url.hostname === '') return 'names no host'
  if (url.search !== '') return 'has a query, which means nothing here'
  return { kind: 'rccremote', label, url: directoryOf(url) }
}

function s3Address(url: URL, label: string): SourceAddress | string {
  if (!BUCKET.test(url.hostname)) return 'does not name a bucket as S3 allows it'
  for (const name of url.searchParams.keys()) {
    if (name !== 'endpoint' && name !== 'region')
      return `has the parameter "${name}", which is neither endpoint nor region`
  }
  const text = url.searchParams.get('endpoint')
  const endpoint = text === null ? undefined : (URL.parse(text) ?? 'none')
  if (endpoint === 'none' || (endpoint !== undefined && !/^https?:$/.test(endpoint.protocol))) {
    return 'has an endpoint that is no http or https URL'
  }
  if (endpoint !== undefined && (endpoint.username !== '' || endpoint.password !== '')) {
    return 'has an endpoint that bears credentials, which belong into a variable or a file'
  }
  const path = decoded(url.pathname)?.replace(/^\/+|\/+$/g, '')
  if (path === undefined) return 'has a path that is not UTF-8'
  const prefix = path === '' ? '' : `${path}/`
  return {
    kind: 's3',
    label,
    bucket: url.hostname,
    prefix,
    endpoint,
    region: url.searchParams.get('region') ?? 'us-east-1',
  }
}

function ociAddress(url: URL, label: string): SourceAddress | string {
  if (url.search !== '') return 'has a query, which means nothing here'
  const registry = URL.parse(`${url.protocol === 'oci:' ? 'https' : 'http'}://${url.host}/`)
  const repository = url.pathname.slice(1)
  if (registry === null || url.host === '') return 'names no registry'
  if (!REPOSITORY.test(repository))
    return 'does not name a repository as registries allow it (small letters, digits, slashes)'
  return { kind: 'oci', label, url: registry, repository }
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
