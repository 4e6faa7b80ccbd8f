import type { Chance } from './chance.ts'

export const TOPOLOGIES = ['mesh', 'ring', 'star', 'line', 'random'] as const
export type Topology = (typeof TOPOLOGIES)[number]

/** Links that each device of a random graph has beside those that hold it together. */
const EXTRA_LINKS = 1

/** Which devices know of each other, as pairs of their numbers, the smaller one first. */
export function linksOf(topology: Topology, count: number, chance: Chance): [number, number][] {
  const links = new Map<string, [number, number]>()
  const link = (a: number, b: number): void => {
    if (a !== b) links.set(`${Math.min(a, b)}-${Math.max(a, b)}`, [Math.min(a, b), Math.max(a, b)])
  }
  for (let i = 1; i < count; i++) {
    if (topology === 'star') link(0, i)
    else if (topology === 'line' || topology === 'ring') link(i - 1, i)
    else if (topology === 'mesh') for (let j = 0; j < i; j++) link(j, i)
    else for (let extra = 0; extra <= EXTRA_LINKS; extra++) link(chance.below(i), i)
  }
  if (topology === 'ring' && count > 2) link(count - 1, 0)
  return [...links.values()]
}
