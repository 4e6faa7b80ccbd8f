import type { Cost, Figure, Figures, Loss, Way } from './figures.ts'
import type { Line, Plot } from './plot.ts'

export const NAMES: Record<Way, string> = {
  full: 'full frontier',
  delta: 'delta',
  range: 'ranges',
  bloom: 'Bloom filters',
}
const WAYS = Object.keys(NAMES) as Way[]
/** Logs that have changed where a plot goes over sizes, and logs where it goes over changes. */
const CHANGED = 10
const LOGS = 100_000

/** 1 234 567, with thin gaps. */
export function grouped(value: number): string {
  return String(Math.round(value)).replaceAll(/\B(?=(?:\d{3})+$)/g, ' ')
}

export function bytesText(value: number): string {
  const units = ['B', 'KB', 'MB', 'GB']
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1]
  return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : Number(value.toPrecision(2))} ${units[unit]}`
}

export function timeText(ms: number): string {
  if (ms < 1) return `${Number((ms * 1000).toPrecision(2))} µs`
  return ms < 1000 ? `${Number(ms.toPrecision(2))} ms` : `${Number((ms / 1000).toPrecision(2))} s`
}

function linesOf(figures: readonly Figure[], x: (figure: Figure) => number, y: (cost: Cost) => number): Line[] {
  return WAYS.map((way, style) => ({
    name: NAMES[way],
    style,
    points: figures.flatMap((figure): [number, number][] => {
      const cost = figure.costs[way]
      return cost === undefined || y(cost) <= 0 ? [] : [[x(figure), y(cost)]]
    }),
  })).filter(({ points }) => points.length > 0)
}

function lossLines(losses: readonly Loss[], of: 'bytes' | 'rounds'): Line[] {
  return [...new Set(losses.map(({ logs }) => logs))].map((logs, style) => ({
    name: `${grouped(logs)} items`,
    style,
    points: losses.filter((one) => one.logs === logs).map((one) => [one.loss * 100, one[of]]),
  }))
}

/** The plots, each under the name of its file. */
export function plotsOf({ figures, losses }: Figures): Record<string, Plot> {
  const bySize = figures.filter(({ logs, changed }) => changed === CHANGED && logs >= 30)
  const byChange = figures.filter(({ logs, changed }) => logs === LOGS && changed > 0)
  const size = { x: `logs, of which ${CHANGED} differ`, showX: grouped }
  const change = { x: `logs that differ, of ${grouped(LOGS)}`, showX: grouped }
  const loss = { x: 'datagrams lost, in per cent', showX: String, linearX: true }
  const bytes = { y: 'bytes, both ways', showY: bytesText }
  const time = { y: 'processor time, both sides', showY: timeText }
  return {
    'bytes-by-size': {
      title: 'Bytes to compare replicas',
      ...size,
      ...bytes,
      lines: linesOf(
        bySize,
        ({ logs }) => logs,
        (cost) => cost.bytes,
      ),
    },
    'time-by-size': {
      title: 'Time to compare replicas',
      ...size,
      ...time,
      lines: linesOf(
        bySize,
        ({ logs }) => logs,
        ({ ms }) => ms,
      ),
    },
    'bytes-by-difference': {
      title: 'Bytes, the more differs',
      ...change,
      ...bytes,
      lines: linesOf(
        byChange,
        ({ changed }) => changed,
        (cost) => cost.bytes,
      ),
    },
    'time-by-difference': {
      title: 'Time, the more differs',
      ...change,
      ...time,
      lines: linesOf(
        byChange,
        ({ changed }) => changed,
        ({ ms }) => ms,
      ),
    },
    'bytes-by-loss': { title: 'Bytes, the more is lost', ...loss, ...bytes, lines: lossLines(losses, 'bytes') },
    'rounds-by-loss': {
      title: 'Round trips, the more is lost',
      ...loss,
      y: 'round trips, mean',
      showY: String,
      lines: lossLines(losses, 'rounds'),
    },
  }
}

/** The figures that show when which way is better: all of them stand in bench/reconcile.json. */
function isShown({ logs, changed }: Figure): boolean {
  if (logs > LOGS * 10) return true
  return (
    [30, 100, 300, 1000, 10_000, LOGS, LOGS * 10].includes(logs) &&
    [0, 1, 10, 0.01 * logs, 0.1 * logs, 0.5 * logs].includes(changed)
  )
}

export function tableOf({ figures, machine, date, bloomApart }: Figures): string {
  const columns = WAYS.flatMap((way) => [`${NAMES[way]}: bytes`, 'round trips', 'time'])
  const lines = [
    `| logs | differ | ${columns.join(' | ')} | memory of the index |`,
    `| ---: | ---: |${' ---: |'.repeat(columns.length + 1)}`,
    ...figures.filter(isShown).map(({ logs, changed, costs }) => {
      const cells = WAYS.flatMap((way) => {
        const cost = costs[way]
        return cost === undefined ? ['', '', ''] : [bytesText(cost.bytes), String(cost.rounds), timeText(cost.ms)]
      })
      const memory = costs.range === undefined || logs < LOGS ? '' : bytesText(costs.range.memory)
      return `| ${grouped(logs)} | ${grouped(changed)} | ${cells.join(' | ')} | ${memory} |`
    }),
  ]
  const apart =
    bloomApart === true ? ' Bloom filters had a run of their own on a busy machine: their times are rough.' : ''
  return `${lines.join('\n')}\n\nMeasured on ${machine}, ${date}; bytes do not depend on the machine.${apart}`
}

export function lossTableOf({ losses }: Figures): string {
  const sizes = [...new Set(losses.map(({ logs }) => logs))]
  const columns = sizes.map(
    (logs) => `${grouped(logs)} items, ${grouped(logs / 10)} differ: bytes | round trips (most)`,
  )
  const rows = [...new Set(losses.map(({ loss }) => loss))].map((loss) => {
    const cells = losses
      .filter((one) => one.loss === loss)
      .map(({ bytes, rounds, worst }) => `${bytesText(bytes)} | ${rounds} (${worst})`)
    return `| ${Math.round(loss * 100)} % | ${cells.join(' | ')} |`
  })
  return [`| lost | ${columns.join(' | ')} |`, `| ---: |${' ---: |'.repeat(2 * sizes.length)}`, ...rows].join('\n')
}
