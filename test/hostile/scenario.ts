import { expect } from 'vitest'
import type { EndReason } from '../../src/broadcast/end-reason.ts'
import type { Script } from './attacker.ts'
import { THOROUGH } from '../faults/scale.ts'
import { Attacker } from './attacker.ts'
import type { PeerOptions } from './fixtures/peer.ts'
import { networks } from './network.ts'
import type { Peer } from './stage.ts'
import { Scene } from './stage.ts'

/** Bytes that a victim may grow by while it is attacked and catches up: what the catch-up alone takes, and as much again. */
const MAX_GROWTH_BYTES = 200 * 2 ** 20
/** Events that the victim lacks when the honest peer comes, and those that it writes live. */
const LOG_EVENTS = THOROUGH ? 20_000 : 8000
const LIVE_EVENTS = 50

export interface Attack {
  script: Script
  /** Why the victim turns it away, or the reasons of which it may be any; null if it does not. */
  refused: EndReason | readonly EndReason[] | null
}

export interface Scenario {
  network: keyof typeof networks
  limits?: Pick<PeerOptions, 'maxLogs'>
  /** What the victim has when it all begins. */
  prepare?(victim: Peer): Promise<unknown>
  attacks?(scene: Scene, victim: Peer): Record<string, Attack>
  /** Many connections of one kind, there before the honest peer comes; says how many were served. */
  crowd?(scene: Scene, victim: Peer): Promise<() => number>
  /** Called when the honest peer's events are there and all attackers that are to be refused have been. */
  check?(at: { scene: Scene; victim: Peer; honest: Peer; attackers: Record<string, Attacker> }): Promise<void>
  growthBytes?: number
}

/**
 * A victim with nothing, attackers that come first, and an honest peer that then brings a long log and live events:
 * all of these must arrive, no honest peer be turned away, every attacker for the right reason, in bounded memory.
 */
export async function play(name: string, scenario: Scenario): Promise<void> {
  await using network = await networks[scenario.network]()
  await using scene = await Scene.create(`hostile ${name}`, network.transport, LOG_EVENTS)
  const victim = await scene.victim(scenario.limits)
  await scenario.prepare?.(victim)
  const before = await victim.state()
  const attacks = Object.entries(scenario.attacks?.(scene, victim) ?? {})
  const attackers = Object.fromEntries(
    attacks.map(([attack, { script }]) => [attack, scene.own(new Attacker(scene, victim.peerId, script))]),
  )
  await Promise.all(Object.values(attackers).map(({ met }) => met))
  const served = await scenario.crowd?.(scene, victim)
  const honest = await scene.honest()
  const since = performance.now()
  await victim.has(honest.author, LOG_EVENTS)
  await honest.append(LIVE_EVENTS)
  const arrived = await victim.has(honest.author, LOG_EVENTS + LIVE_EVENTS)
  const seconds = (performance.now() - since) / 1000

  for (const [attack, { refused }] of attacks) {
    const { peerId } = attackers[attack] as Attacker
    const refusals = (): string[] =>
      victim.ofType('PeerRefused').flatMap((event) => (event.peerId === peerId ? [event.reason] : []))
    if (refused !== null) await victim.until(() => refusals().length > 0)
    const allowed = [refused ?? []].flat() as readonly string[]
    expect(
      refusals().filter((reason) => !allowed.includes(reason)),
      attack,
    ).toEqual([])
  }
  await scenario.check?.({ scene, victim, honest, attackers })

  const after = await victim.state()
  const growth = after.peakRss - before.rss
  const raws = Object.values(attackers).flatMap((attacker) => attacker.raws)
  console.log(
    `${name} over ${scenario.network}: ${attacks.length} attackers, ${raws.length + (served?.() ?? 0)} connections served, ` +
      `${victim.ofType('PeerRefused').length} refused; took ${mega(raws, 'sentBytes')} and gave ${mega(raws, 'receivedBytes')} MB; ` +
      `honest events lost ${LOG_EVENTS + LIVE_EVENTS - arrived} of ${LOG_EVENTS + LIVE_EVENTS} in ${seconds.toFixed(1)} s; victim grew by ${(growth / 1e6).toFixed(0)} MB, ` +
      `${(after.cpu - before.cpu).toFixed(1)} s of CPU, timers late by ${after.late.p99.toFixed(0)} ms at p99, ${after.late.max.toFixed(0)} at most`,
  )
  expect(growth).toBeLessThan(scenario.growthBytes ?? MAX_GROWTH_BYTES)
  expect(victim.ofType('PeerRefused').filter(({ peerId }) => peerId === honest.peerId)).toEqual([])
  expect(honest.ofType('PeerRefused').filter(({ peerId }) => peerId === victim.peerId)).toEqual([])
}

function mega(
  raws: readonly { sentBytes: number; receivedBytes: number }[],
  what: 'sentBytes' | 'receivedBytes',
): string {
  return (raws.reduce((sum, raw) => sum + raw[what], 0) / 1e6).toFixed(1)
}
