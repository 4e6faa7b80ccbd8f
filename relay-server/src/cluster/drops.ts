/**
 * Why something of another instance was not acted on: its bytes are no message; a frame does not belong on its subject;
 * there are more instances, or more requests of one, than allowed; a channel's frames got lost, break its window, or are
 * none.
 */
export const DROPS = ['malformed', 'misplaced', 'stranger', 'flood', 'gap', 'window', 'frame'] as const

export type Drop = (typeof DROPS)[number]

export class Drops {
  readonly counts: Record<Drop, number> = Object.fromEntries(DROPS.map((reason) => [reason, 0])) as Record<Drop, number>

  count(reason: Drop): void {
    this.counts[reason]++
  }
}
