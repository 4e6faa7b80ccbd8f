import type { SimEventRecord, SimRecord } from '../record.ts'

/** Who reached whom, from one change of the network to the next. */
export interface Reach {
  from: number
  to: number
  /** By device: the number of its group, 0 for the largest; null where no partition names it. */
  groups: (number | null)[]
  count: number
}

/** A stretch of time with one chance of losing a packet. */
export interface Loss {
  from: number
  to: number
  /** 0 to 1; null if the record does not say. */
  chance: number | null
  detail: string
}

/**
 * Stretches in which the network was split. Where partitions overlap, two devices reach each other only if each of
 * them says so.
 */
export function reachOf(record: SimRecord): Reach[] {
  const cuts = [...new Set(record.partitions.flatMap(({ from, to }) => [from, to]))].toSorted((a, b) => a - b)
  const stretches: Reach[] = []
  for (const [i, from] of cuts.entries()) {
    const to = cuts[i + 1]
    if (to === undefined) break
    const active = record.partitions.filter((one) => one.from <= from && one.to >= to)
    if (active.length === 0) continue
    const memberships = active.map(
      ({ groups }) => new Map(groups.flatMap((names, g) => names.map((name) => [name, g]))),
    )
    const keys = record.devices.map(({ name }) => {
      const places = memberships.map((groups) => groups.get(name))
      return places.includes(undefined) ? null : places.join(' ')
    })
    stretches.push({ from, to, ...numbered(keys) })
  }
  return stretches
}

/** Groups by size, and among equals by their first device. */
function numbered(keys: readonly (string | null)[]): { groups: (number | null)[]; count: number } {
  const sizes = new Map<string, number>()
  for (const key of keys) if (key !== null) sizes.set(key, (sizes.get(key) ?? 0) + 1)
  const order = [...sizes].toSorted((a, b) => b[1] - a[1]).map(([key]) => key)
  return { groups: keys.map((key) => (key === null ? null : order.indexOf(key))), count: order.length }
}

/** An event `loss` of one way only says so: from whom to whom. */
const ONE_WAY = /\bfrom .+ to /s

/** Changes of the loss on the way from one device to another, which is that of the network otherwise. */
export function lossOnWays(record: SimRecord): SimEventRecord[] {
  return record.events.filter(({ kind, detail }) => kind === 'loss' && ONE_WAY.test(detail))
}

/** Of the whole network: from the scenario's `loss`, and from each event `loss` until the next. */
export function lossOf(record: SimRecord): Loss[] {
  const stretches: Loss[] = []
  const given = record.parameters['loss']
  let current: Loss | null =
    given === undefined ? null : { from: 0, to: 0, chance: chanceIn(given), detail: String(given) }
  const end = (to: number): void => {
    if (current !== null && current.chance !== 0 && to > current.from) stretches.push({ ...current, to })
  }
  for (const event of record.events) {
    if (event.kind !== 'loss' || ONE_WAY.test(event.detail)) continue
    end(event.at)
    current = { from: event.at, to: event.at, chance: chanceIn(event.detail), detail: event.detail }
  }
  end(record.duration)
  return stretches
}

/** The chance that a text or number names: `20 %`, `0.2`. */
function chanceIn(value: string | number | boolean): number | null {
  if (typeof value === 'boolean') return value ? null : 0
  const percent = /(\d+(?:\.\d+)?)\s*%/.exec(String(value))
  const plain = /\d+(?:\.\d+)?/.exec(String(value))
  const chance = percent === null ? Number(plain?.[0] ?? NaN) : Number(percent[1]) / 100
  return chance >= 0 && chance <= 1 ? chance : null
}
