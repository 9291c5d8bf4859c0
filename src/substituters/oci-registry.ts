/**
 * One repository of an OCI registry: requests with the authentication that it asks for (OCI distribution specification
 * 1.1, and the token protocol of Docker's registry).
 *
 * A token is asked for when the registry first refuses, and again when it has expired. Credentials go to the registry
 * and to the token server that it names, over https or at the registry's own origin.
 */
import { TOKEN_BYTES_MAX } from '../base/substituter-limits.ts'
import type { SourceAddress } from '../blob/source-address.ts'
import { collect } from './collect.ts'
import { authorizationOf } from './credentials.ts'
import { SourceFailedError } from './source-failed-error.ts'
import type { WebAnswer, WebEdge, WebRequest } from './web-edge.ts'

export interface OciRegistryOptions {
  readonly address: Extract<SourceAddress, { readonly kind: 'oci' }>
  readonly edge: WebEdge
  /** `user:password` or a token; undefined: whatever anybody gets. */
  readonly credentials: string | undefined
}

export class OciRegistry {
  readonly name: string
  #authorization: string | undefined

  constructor(private readonly options: OciRegistryOptions) {
    this.name = options.address.label
  }

  /** URL and credentials of something in the repository, such as `blobs/sha256:…`. */
  address(path: string): Pick<WebRequest, 'url' | 'secretHeaders'> {
    const { url, repository } = this.options.address
    return { url: new URL(`v2/${repository}/${path}`, url.href), secretHeaders: this.#secretHeaders() }
  }

  /** One request; where it is refused, once more with fresh authentication. */
  async request(
    path: string | URL,
    request: Omit<WebRequest, 'url' | 'secretHeaders'>,
    scope: 'pull' | 'pull,push',
    signal: AbortSignal,
  ): Promise<WebAnswer> {
    const once = () => {
      const { url } = typeof path === 'string' ? this.address(path) : { url: path }
      return this.options.edge.request({ ...request, url, secretHeaders: this.#secretHeaders(url) }, signal)
    }
    const answer = await once()
    if (answer.status !== 401) return answer
    answer.discard()
    await this.authenticate(scope, signal)
    return once()
  }

  /** @throws {SourceFailedError} the registry, or its token server, does not take the credentials; `signal.reason` */
  async authenticate(scope: 'pull' | 'pull,push', signal: AbortSignal): Promise<void> {
    const { address, edge, credentials } = this.options
    const asked = await edge.request({ method: 'GET', url: new URL('v2/', address.url.href), what: 'v2/' }, signal)
    asked.discard()
    const challenge = asked.headers.get('www-authenticate') ?? ''
    if (/^basic\b/i.test(challenge)) {
      if (credentials === undefined) throw this.#refused('it wants credentials')
      this.#authorization = authorizationOf(credentials)
      return
    }
    const realm = URL.parse(parameterOf(challenge, 'realm') ?? '')
    if (!/^bearer\b/i.test(challenge) || realm === null) throw this.#refused(`status ${asked.status}`)
    if (realm.protocol !== 'https:' && realm.origin !== address.url.origin) {
      throw this.#refused('it names a token server without https')
    }
    this.#authorization = `Bearer ${await this.#token(realm, parameterOf(challenge, 'service'), scope, signal)}`
  }

  async #token(realm: URL, service: string | undefined, scope: string, signal: AbortSignal): Promise<string> {
    const { address, edge, credentials } = this.options
    if (service !== undefined) realm.searchParams.set('service', service)
    realm.searchParams.set('scope', `repository:${address.repository}:${scope}`)
    const secretHeaders = credentials === undefined ? {} : { authorization: authorizationOf(credentials) }
    const what = 'a token'
    const answer = await edge.request({ method: 'GET', url: realm, secretHeaders, what }, signal)
    if (answer.status !== 200) {
      answer.discard()
      throw this.#refused(`its token server says status ${answer.status}`)
    }
    const text = Buffer.from(await collect(answer.bytes(), TOKEN_BYTES_MAX, `A token of ${this.name}`)).toString('utf8')
    const token = tokenIn(text)
    if (token === undefined) throw this.#refused('its token server sends no token')
    return token
  }

  #secretHeaders(url = this.options.address.url): Readonly<Record<string, string>> {
    // An upload may go to another place, which has its own way to know us.
    const isHome = url.origin === this.options.address.url.origin
    return this.#authorization === undefined || !isHome ? {} : { authorization: this.#authorization }
  }

  #refused(why: string): SourceFailedError {
    return new SourceFailedError(`${this.name} refuses us: ${why}`, {
      code: 'source-refused',
      hint: 'look at credentials-env or credentials-file of that entry: they hold user:password, or a token',
    })
  }
}

/** A parameter of a WWW-Authenticate header (RFC 9110 §11.2). */
function parameterOf(challenge: string, name: string): string | undefined {
  return new RegExp(`[ ,]${name}="([^"]{1,2000})"`, 'i').exec(challenge)?.[1]
}

function tokenIn(text: string): string | undefined {
  try {
    const body: unknown = JSON.parse(text)
    if (typeof body !== 'object' || body === null) return undefined
    const { token, access_token: other } = body as { token?: unknown; access_token?: unknown }
    const found = typeof token === 'string' ? token : other
    return typeof found === 'string' && /^[\x21-\x7e]+$/.test(found) ? found : undefined
  } catch {
    return undefined
  }
}
