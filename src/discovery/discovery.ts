/**
 * How connections to other machines come about: the door that the composition root plugs into the peer protocol.
 *
 * A topic is not authentication: whoever knows its 32 bytes can join. And a link is not of a topic: the accepting side
 * is not told which one led the other to it, and two machines that share several topics still have one link. So links
 * come out in one stream, whatever topics were joined.
 */
import type { HostPort } from '../base/host-port.ts'
import type { FrameLink } from '../base/link.ts'

/** One topic that was joined. */
export interface Joined {
  /** Resolves when the first announcement and look-up are through; links may come before. @throws `signal.reason` */
  flushed(signal: AbortSignal): Promise<void>
  /** Stop looking; links that are open stay. */
  leave(): Promise<void>
}

export interface Discovery extends AsyncDisposable {
  /** Addresses at which others can find this machine: to be given as their bootstrap. Empty for a client. */
  readonly bootstrapAddresses: readonly HostPort[]
  /** Called for every link from now on; links that came before are kept for it. */
  onLink(listener: (link: FrameLink) => void): void
  /** @param topic 32 bytes */
  join(topic: Uint8Array): Joined
  /** Tell under this topic that we are there, and look for nobody. A daemon's only. @param topic 32 bytes */
  announce(topic: Uint8Array): Joined
  /**
   * Call those who are announced under `topic` now, before all others.
   *
   * @returns how many there are, some at most, once the look-up is through; their links may come later @throws `signal.reason`
   */
  seek(topic: Uint8Array, signal: AbortSignal): Promise<number>
  /**
   * Resolves once everybody who has been found so far has been linked, or could not be: nobody else is on the way then.
   *
   * @throws `signal.reason`
   */
  settled(signal: AbortSignal): Promise<void>
  /** Look there too; those that are known already are left alone. */
  addBootstraps(bootstraps: readonly HostPort[]): void
  /** Who is refused has changed: those that were refused may be welcome now. */
  reconsider(): void
  /** Call more machines than usual for a while, since something is looked for that may be with any of them. */
  lookWider(): void
  /** Leave all topics and close all links, in bounded time. */
  [Symbol.asyncDispose](): Promise<void>
}
