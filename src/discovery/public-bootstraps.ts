/**
 * The entrances of the internet's DHT, and which of them answer now.
 *
 * A HyperDHT finds out about its NAT while it starts, with the bootstraps that it is given, one after the other: so the
 * silent ones are sorted out before.
 */
import HyperDHT from 'hyperdht'
import type { Clock } from '../base/clock.ts'
import { type HostPort, parseHostPort } from '../base/host-port.ts'
import { routeTo } from './network.ts'

/** A bootstrap on another continent answers in a third of that. */
const ANSWER_MS = 1_000

/** Those of HyperDHT, each as an address and as a name, should the address have changed. */
export function publicBootstraps(): readonly HostPort[] {
  return HyperDHT.BOOTSTRAP.flatMap((text) => {
    const [, address, name, port] = /^(?:(.+)@)?(.+):(\d+)$/.exec(text) ?? []
    const both = [address, name].map((host) => (host === undefined ? undefined : parseHostPort(`${host}:${port}`)))
    return both.filter((each) => each !== undefined)
  })
}

/**
 * Ask all at once.
 *
 * @returns those of IPv4 that answered within a second, in the order given, none twice
 * @throws `signal.reason`
 */
export async function answering(
  addresses: readonly HostPort[],
  clock: Clock,
  signal: AbortSignal,
): Promise<readonly HostPort[]> {
  const asking = new HyperDHT({ bootstrap: [], port: [0, 1] })
  const enough = new AbortController()
  const answers = new Map<string, HostPort>()
  try {
    const asked = addresses.map(async (address) => {
      const { bootstrap } = await routeTo(address, AbortSignal.any([enough.signal, signal]))
      await asking.ping(bootstrap, { retry: false })
      return bootstrap
    })
    const all = Promise.all(
      asked.map(async (each, index) => {
        const answer = await each.catch(() => undefined)
        if (answer !== undefined) answers.set(`${index}`, answer)
      }),
    )
    await Promise.race([all, clock.sleep(ANSWER_MS, AbortSignal.any([enough.signal, signal]))])
  } finally {
    enough.abort(new Error('those that answer are known'))
    await asking.destroy({ force: true })
  }
  const found = addresses.map((_, index) => answers.get(`${index}`)).filter((each) => each !== undefined)
  return [...new Map(found.map((each) => [`${each.host}:${each.port}`, each])).values()]
}
