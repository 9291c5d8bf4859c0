/**
 * A fleet that lacks one environment, in simulated time: the real `Leases`, messages that take a while, a WAN and a LAN that
 * carry a unit a tick, and machines that lie, die, or whose WAN stands still.
 */
import { type LeaseMember, Leases } from '../../src/peer/leases.ts'
import type { Lease } from '../../src/peer/messages.ts'
import { CATALOG } from '../support/members.ts'
import { EventQueue } from './event-queue.ts'

export const TICK_MS = 250
/** Units that the LAN brings in a tick. */
const LAN_UNITS = 3

/**
 * `liar`: says again and again that it holds the lease, and brings nothing; `wisher`: only ever says that it wishes to;
 * `flapper`: takes and gives up the lease by turns; `command`: serves nobody.
 */
export type MachineKind = 'honest' | 'command' | keyof typeof LIES

const LIES = {
  liar: ['held'],
  wisher: ['wish'],
  flapper: ['held', 'none'],
} as const

export interface MachinePlan {
  readonly kind: MachineKind
  readonly key: Uint8Array
  readonly startMs: number
  /** Dies then; the others notice after `noticeMs`, where that is not undefined. */
  readonly death?: { readonly atMs: number; readonly noticeMs: number | undefined }
  /** Nothing comes to it over the WAN in that time. */
  readonly standstill?: { readonly fromMs: number; readonly toMs: number }
}

export interface WorldPlan {
  readonly machines: readonly MachinePlan[]
  /** Of the environment. */
  readonly units: number
  /** How long a message takes, ms, by the number of the message. */
  readonly delayMs: (message: number) => number
}

class Machine {
  readonly leases: Leases
  readonly member: LeaseMember
  units = 0
  paid = 0
  isPaying = false
  isDead = false
  isStarted = false
  lies = 0
  doneMs: number | undefined

  constructor(
    readonly id: number,
    readonly plan: MachinePlan,
  ) {
    const serves = plan.kind !== 'command'
    this.member = { id: String(id), name: `peer ${id}`, key: plan.key, serves }
    this.leases = new Leases({ key: plan.key, serves })
  }

  /** Whether it works for its environment. */
  get isAtWork(): boolean {
    return !(this.plan.kind in LIES) && this.isStarted && !this.isDead && this.doneMs === undefined
  }
}

export class LeaseWorld {
  readonly machines: readonly Machine[]
  /** How long two or more machines paid at the same time, of which others could have had it, ms. */
  overlapMs = 0
  readonly #events = new EventQueue()
  #messages = 0
  /** When the last message between two arrives. */
  readonly #arrivals = new Map<string, number>()

  constructor(private readonly plan: WorldPlan) {
    this.machines = plan.machines.map((each, id) => new Machine(id, each))
    for (const machine of this.machines) {
      const { startMs, death } = machine.plan
      this.#events.at(startMs, () => this.#start(machine))
      if (death !== undefined) this.#events.at(death.atMs, () => this.#die(machine, death.noticeMs))
    }
    this.#events.at(0, () => this.#tick())
  }

  get nowMs(): number {
    return this.#events.nowMs
  }

  /** @returns whether all who work for it have it by then */
  run(untilMs: number): boolean {
    while (!this.#isDone() && this.#events.step(untilMs)) {}
    return this.#isDone()
  }

  /** Units that came over the WAN, to the dead too. */
  get paid(): number {
    return this.machines.reduce((sum, { paid }) => sum + paid, 0)
  }

  #isDone(): boolean {
    return this.machines.every((machine) => {
      return machine.isDead || machine.doneMs !== undefined || machine.plan.kind in LIES
    })
  }

  #start(machine: Machine): void {
    if (machine.isDead) return
    machine.isStarted = true
    const { kind } = machine.plan
    for (const other of this.machines) {
      if (other === machine || !other.isStarted || other.isDead) continue
      for (const message of other.leases.add(machine.member)) this.#send(other, machine, message)
      machine.leases.add(other.member)
    }
    if (kind !== 'honest' && kind !== 'command') this.#lie(machine, LIES[kind])
    else machine.leases.want(CATALOG, true, this.nowMs)
    this.#look(machine)
  }

  #lie(machine: Machine, states: readonly Lease['state'][]): void {
    if (machine.isDead) return
    const state = states[machine.lies++ % states.length] ?? 'none'
    this.#tell(machine, { type: 'lease', name: CATALOG, state, catalog: undefined })
    this.#events.after(1_000, () => this.#lie(machine, states))
  }

  #die(machine: Machine, noticeMs: number | undefined): void {
    machine.isDead = true
    machine.isPaying = false
    if (noticeMs === undefined) return
    this.#events.after(noticeMs, () => {
      for (const other of this.machines) {
        other.leases.remove(machine.member.id)
        this.#look(other)
      }
    })
  }

  /** Let it see whose turn it is, and say what it has to say. */
  #look(machine: Machine): void {
    if (machine.isAtWork) machine.isPaying = machine.leases.turn(CATALOG, this.nowMs).turn === 'ours'
    for (const message of machine.leases.takeSaid()) this.#tell(machine, message)
  }

  #tell(from: Machine, message: Lease): void {
    for (const to of this.machines) if (to !== from && to.isStarted && !to.isDead) this.#send(from, to, message)
  }

  #send(from: Machine, to: Machine, message: Lease): void {
    // What a connection carries comes in order: one that is late holds up those behind it.
    const pair = `${from.id} ${to.id}`
    const dueMs = Math.max(this.nowMs + this.plan.delayMs(this.#messages++), this.#arrivals.get(pair) ?? 0)
    this.#arrivals.set(pair, dueMs)
    this.#events.at(dueMs, () => {
      if (from.isDead || to.isDead) return
      to.leases.hear(from.member.id, message, this.nowMs)
      this.#look(to)
    })
  }

  #tick(): void {
    this.#events.after(TICK_MS, () => this.#tick())
    const speaking = this.machines.filter((machine) => machine.isPaying && machine.isAtWork && machine.member.serves)
    if (speaking.length > 1) this.overlapMs += TICK_MS
    const had = this.machines.map(({ units }) => units)
    for (const machine of this.machines) {
      if (!machine.isAtWork) continue
      this.#look(machine)
      const others = this.machines.filter(
        (other) => other !== machine && !other.isDead && other.member.serves && other.plan.kind === 'honest',
      )
      const most = Math.max(0, ...others.map((other) => had[other.id] ?? 0))
      const before = machine.units
      if (most > machine.units) machine.units = Math.min(most, machine.units + LAN_UNITS)
      else if (machine.isPaying && !this.#standsStill(machine)) {
        machine.units++
        machine.paid++
      }
      if (machine.units > before) machine.leases.came(CATALOG, this.nowMs)
      if (machine.units >= this.plan.units) {
        machine.doneMs = this.nowMs
        machine.isPaying = false
        machine.leases.release(CATALOG)
      }
      this.#look(machine)
    }
  }

  #standsStill({ plan: { standstill } }: Machine): boolean {
    return standstill !== undefined && this.nowMs >= standstill.fromMs && this.nowMs < standstill.toMs
  }
}
