import type { SimRecord } from '../record.ts'
import type { Html } from './html.ts'
import { markup } from './html.ts'
import { legendOf, plot, stretched, table } from './plot.ts'
import type { TimeScale } from './scale.ts'
import { formatBytes, formatNumber, formatShare, formatTime, niceCeiling, rounded } from './scale.ts'
import type { Progress, SentOverTime } from './series.ts'
import { rateOf, thinned } from './series.ts'

const HELD_HEIGHT = 170
const COMPLETE_HEIGHT = 70
const SENT_HEIGHT = 150
/** Rows of a table that stands for a curve. */
const TABLE_ROWS = 24

/** How many events were written, and how many the devices held. */
export function heldPlot(progress: readonly Progress[], scale: TimeScale): Html {
  const top = niceCeiling(Math.max(1, ...progress.map(({ written, most }) => Math.max(written, most))))
  const y = (value: number) => rounded(HELD_HEIGHT * (1 - value / top), 1)
  const line = (of: (one: Progress) => number) => polyline(progress.map((one) => [scale.x(one.at), y(of(one))]))
  const band = [
    ...progress.map((one) => [scale.x(one.at), y(one.most)] as const),
    ...progress.toReversed().map((one) => [scale.x(one.at), y(one.least)] as const),
  ]
  const last = progress.at(-1)
  return plot(scale, {
    id: 'held',
    title: 'Events written and held',
    description:
      last === undefined
        ? 'Nothing was sampled.'
        : `At the end ${last.written} events were written; devices held between ${last.least} and ${last.most}, the median ${last.median}.`,
    legend: legendOf([
      { className: '', text: 'written anywhere', sample: markup`<path class="curve written" d="M0 6H18"/>` },
      { className: '', text: 'held, median', sample: markup`<path class="curve median" d="M0 6H18"/>` },
      { className: 'band', text: 'held, least to most' },
    ]),
    height: HELD_HEIGHT,
    levels: quarters(top, (value) => formatNumber(value, value % 1 === 0 ? 0 : 1)),
    drawing: stretched(
      HELD_HEIGHT,
      markup`<path class="band" d="${polyline(band)}Z"/><path class="curve written" d="${line((one) => one.written)}"/><path class="curve median" d="${line((one) => one.median)}"/>`,
    ),
    table: { summary: 'Convergence as a table', content: progressTable(progress) },
  })
}

/** The part of all that should be everywhere that is. */
export function completePlot(progress: readonly Progress[], scale: TimeScale): Html {
  const line = polyline(progress.map(({ at, complete }) => [scale.x(at), rounded(COMPLETE_HEIGHT * (1 - complete), 1)]))
  const edges = [progress[0]?.at ?? 0, progress.at(-1)?.at ?? 0].map((at) => scale.x(at))
  const area =
    line === '' ? '' : `${line}L${edges[1] as number} ${COMPLETE_HEIGHT}L${edges[0] as number} ${COMPLETE_HEIGHT}Z`
  return plot(scale, {
    id: 'complete',
    title: 'Complete',
    description: `Of all pairs of an event and a member, the part of those held: ${formatShare(progress.at(-1)?.complete ?? 0)} at the end.`,
    legend: markup`<p>Of all pairs of a written event and a device that has joined: the part of those held.</p>`,
    height: COMPLETE_HEIGHT,
    levels: [1, 0.5, 0].map((part) => ({ part: 1 - part, text: formatShare(part) })),
    drawing: stretched(
      COMPLETE_HEIGHT,
      markup`<path class="complete-area" d="${area}"/><path class="curve complete" d="${line}"/>`,
    ),
  })
}

function progressTable(progress: readonly Progress[]): Html {
  return table(
    'Convergence',
    [
      { name: 'at' },
      ...['written', 'held, least', 'median', 'most', 'complete'].map((name) => ({ name, numeric: true })),
    ],
    thinned(progress, TABLE_ROWS).map(({ at, written, least, median, most, complete }) => [
      formatTime(at),
      ...[written, least, median, most].map((value) => formatNumber(value, value % 1 === 0 ? 0 : 1)),
      formatShare(complete),
    ]),
  )
}

/** Bytes per second by kind, one upon the other. */
export function sentPlot({ kinds, stretches }: SentOverTime, scale: TimeScale): Html {
  const top = niceBytes(Math.max(1, ...stretches.map(rateOf)))
  const below = stretches.map(() => 0)
  const areas = kinds.map((kind, k) => {
    const upper: (readonly [number, number])[] = []
    const lower: (readonly [number, number])[] = []
    for (const [i, { from, to, bytes }] of stretches.entries()) {
      const base = below[i] as number
      const sum = base + ((bytes[k] as number) / (to - from)) * 1000
      below[i] = sum
      for (const at of [from, to]) {
        upper.push([scale.x(at), sentY(sum, top)])
        lower.unshift([scale.x(at), sentY(base, top)])
      }
    }
    return markup`<path class="kind-${k}" d="${polyline([...upper, ...lower])}Z"><title>${kind}</title></path>`
  })
  return plot(scale, {
    id: 'sent',
    title: 'Sent over the network, by kind of message',
    description: `Bytes per second by kind, up to ${formatBytes(top)} per second. The table of traffic has the sums.`,
    legend: legendOf(kinds.map((kind, k) => ({ className: `kind-${k}`, text: kind }))),
    height: SENT_HEIGHT,
    levels: quarters(top, (value) => `${formatBytes(value)}/s`),
    drawing: stretched(SENT_HEIGHT, areas),
  })
}

const sentY = (rate: number, top: number): number => rounded(SENT_HEIGHT * (1 - rate / top), 1)

/** Sums by kind, with a bar for the share; the kinds' colours are those of the plot. */
export function trafficTable(record: SimRecord, { kinds }: SentOverTime): Html {
  const sum = record.traffic.reduce((all, { bytes }) => all + bytes, 0)
  const most = Math.max(1, ...record.traffic.map(({ bytes }) => bytes))
  return table(
    'Traffic by kind of message',
    [
      { name: 'kind' },
      ...['messages', 'bytes', 'per message', 'share'].map((name) => ({ name, numeric: true })),
      { name: '' },
    ],
    record.traffic
      .toSorted((a, b) => b.bytes - a.bytes)
      .map(({ kind, messages, bytes }) => {
        const k = kinds.includes(kind) ? kinds.indexOf(kind) : kinds.length - 1
        return [
          markup`<span class="swatch kind-${k}"></span> ${kind}`,
          formatNumber(messages),
          formatBytes(bytes),
          messages === 0 ? '' : formatBytes(bytes / messages),
          formatShare(sum === 0 ? 0 : bytes / sum),
          markup`<svg class="bar" width="120" height="10" aria-hidden="true">
            <rect class="kind-${k}" width="${((bytes / most) * 120).toFixed(1)}" height="10"/>
          </svg>`,
        ]
      }),
  )
}

function quarters(top: number, text: (value: number) => string): { part: number; text: string }[] {
  return [1, 0.5, 0].map((part) => ({ part: 1 - part, text: text(top * part) }))
}

/** A power of two, or one and a half of it: round in units of 1024. */
function niceBytes(value: number): number {
  const power = 2 ** Math.floor(Math.log2(value))
  return [1, 1.5, 2].map((factor) => factor * power).find((one) => one >= value) ?? 2 * power
}

function polyline(points: readonly (readonly [number, number])[]): string {
  return points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${x} ${y}`).join('')
}
