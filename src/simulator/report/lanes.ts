import type { DeviceState, SimDeviceRecord, SimEventRecord, SimRecord } from '../record.ts'
import type { Html } from './html.ts'
import { markup } from './html.ts'
import { legendOf, plot, stretched, table } from './plot.ts'
import type { TimeScale } from './scale.ts'
import { formatNumber, formatShare, formatTime } from './scale.ts'

export const LANE_HEIGHT = 26
/** Pixels of a lane's upper part, which shows writes; the lower part shows the state. */
const WRITES_HEIGHT = 8
/** Stretches of time within which writes are one line. */
const WRITE_BINS = 500
/** Marks of one kind on one device that are closer than this part of the run are one. */
const MARK_DISTANCE = 0.004

/** Pixels of each state's bar, in the rest: states differ by more than their colour. */
const STATE_BAR: Readonly<Record<DeviceState, number>> = { absent: 0, online: 12, offline: 3, asleep: 7, crashed: 12 }

export const STATES: readonly DeviceState[] = ['online', 'offline', 'asleep', 'crashed', 'absent']

/** Shapes of marks, around 0, 0; kinds of events without one are not marked. */
const MARKS: ReadonlyMap<string, { path: string; name: string }> = new Map([
  ['crash', { path: 'M-4-4 4 4M4-4-4 4', name: 'crash' }],
  ['restart', { path: 'M0-5 5 4H-5Z', name: 'restart' }],
  ['clock', { path: 'M0-6 5 0 0 6-5 0Z', name: 'clock jump' }],
  ['join', { path: 'M-3-5V5M-3-5 4-2-3 1', name: 'join' }],
  ['leave', { path: 'M-4-4H4V4H-4Z', name: 'leave' }],
])

/** One lane for each device: what it was, what befell it, when it wrote. */
export function lanesPlot(record: SimRecord, scale: TimeScale): Html {
  const height = record.devices.length * LANE_HEIGHT
  const marks = marksOf(record.events, scale)
  const numbers = new Map(record.devices.map(({ name }, i) => [name, i]))
  const drawing = markup`${record.devices.map((device, i) => lane(device, i, record.events, scale))}${marks.map((event) => mark(event, numbers, scale))}${failureMarks(record, numbers, scale, height)}`
  return plot(scale, {
    id: 'devices',
    title: 'Devices',
    description: `Time line of ${record.devices.length} devices: states, writes, crashes, restarts and clock jumps. The table of devices says the same.`,
    legend: legend(),
    labels: record.devices.map(
      ({ name }, i) =>
        markup`<div class="name" style="height:${LANE_HEIGHT}px" title="${name}" data-device="${i}">
          <bdi>${name}</bdi>
        </div>`,
    ),
    height,
    drawing,
    table: { summary: 'Devices as a table', content: devicesTable(record) },
  })
}

function lane(device: SimDeviceRecord, number: number, events: readonly SimEventRecord[], scale: TimeScale): Html {
  const top = number * LANE_HEIGHT
  const base = top + LANE_HEIGHT - 3
  const bars = device.spans.map(({ from, to, state }) => {
    const height = STATE_BAR[state]
    if (height === 0 || to <= from) return null
    const width = (scale.part(to) - scale.part(from)) * 100
    return markup`<rect class="state ${state}" x="${scale.percent(from)}" y="${base - height}" width="${width.toFixed(3)}%" height="${height}"><title>${device.name}: ${state}, ${formatTime(from)} to ${formatTime(to)}</title></rect>`
  })
  return markup`<g>${number % 2 === 1 && markup`<rect class="stripe" x="0" y="${top}" width="100%" height="${LANE_HEIGHT}"/>`}${bars}${writes(device, events, scale, top)}</g> `
}

/** A line for each moment with writes, taller for more. */
function writes(
  device: SimDeviceRecord,
  events: readonly SimEventRecord[],
  scale: TimeScale,
  top: number,
): Html | null {
  const bins = new Map<number, number>()
  for (const event of events) {
    if (event.kind !== 'message' || event.device !== device.name) continue
    const bin = Math.round(scale.part(event.at) * WRITE_BINS)
    bins.set(bin, (bins.get(bin) ?? 0) + 1)
  }
  if (bins.size === 0) return null
  const path = [...bins]
    .toSorted((a, b) => a[0] - b[0])
    .map(([bin, count]) => {
      const tall = Math.min(WRITES_HEIGHT, 3 + Math.round(Math.log2(count) * 2))
      return `M${(bin * 1000) / WRITE_BINS} ${WRITES_HEIGHT}v-${tall}`
    })
  return stretched(WRITES_HEIGHT, markup`<path class="writes" d="${path.join('')}"/>`, top + 2)
}

function marksOf(events: readonly SimEventRecord[], scale: TimeScale): SimEventRecord[] {
  const last = new Map<string, number>()
  return events.filter((event) => {
    if (event.device === null || !MARKS.has(event.kind)) return false
    const key = JSON.stringify([event.kind, event.device])
    const part = scale.part(event.at)
    if (part - (last.get(key) ?? -1) < MARK_DISTANCE) return false
    last.set(key, part)
    return true
  })
}

function mark(event: SimEventRecord, numbers: ReadonlyMap<string, number>, scale: TimeScale): Html | null {
  const shape = MARKS.get(event.kind)
  const number = numbers.get(event.device ?? '')
  if (shape === undefined || number === undefined) return null
  const y = number * LANE_HEIGHT + LANE_HEIGHT - 9
  return markup`<svg class="mark" x="${scale.percent(event.at)}" y="${y}" data-at="${event.at}">
    <path class="halo" d="${shape.path}"/>
    <path class="mark-${event.kind}" d="${shape.path}"/>
    <title>${formatTime(event.at)} ${event.device}: ${shape.name} ${event.detail}</title>
  </svg> `
}

/** Where each failure is told of on the time line: links lead here. */
function failureMarks(
  record: SimRecord,
  numbers: ReadonlyMap<string, number>,
  scale: TimeScale,
  height: number,
): Html[] {
  return record.verdict.failures.map(({ check, at, device, detail }, i) => {
    const x = scale.percent(at)
    const number = device === null ? undefined : numbers.get(device)
    const y = number === undefined ? 0 : number * LANE_HEIGHT
    return markup`<g id="failure-${i + 1}" class="failure-mark"><line x1="${x}" x2="${x}" y1="0" y2="${height}"/>${number !== undefined && markup`<svg class="mark" x="${x}" y="${y + LANE_HEIGHT / 2}"><circle r="11"/></svg>`}<title>
        Failure ${i + 1}, ${formatTime(at)}: ${check}. ${detail}
      </title></g>`
  })
}

function legend(): Html {
  const bar = (state: DeviceState) =>
    markup`<rect class="state ${state}" y="${12 - STATE_BAR[state]}" width="18" height="${STATE_BAR[state]}"/>`
  return legendOf([
    ...STATES.filter((state) => state !== 'absent').map((state) => ({
      className: '',
      text: state,
      sample: bar(state),
    })),
    { className: '', text: 'absent', sample: markup`<line class="base" x1="0" x2="18" y1="11" y2="11"/>` },
    { className: '', text: 'writes', sample: markup`<path class="writes" d="M3 12V4M6 12V8M9 12V2M14 12V6"/>` },
    ...[...MARKS].map(([kind, { path, name }]) => ({
      className: '',
      text: name,
      sample: markup`<path class="mark-${kind}" transform="translate(9 6)" d="${path}"/>`,
    })),
  ])
}

function devicesTable(record: SimRecord): Html {
  const counts = new Map<string, number>()
  for (const { kind, device } of record.events) {
    if (kind === 'crash' && device !== null) counts.set(device, (counts.get(device) ?? 0) + 1)
  }
  return table(
    'Devices',
    [
      { name: 'device' },
      { name: 'author' },
      ...STATES.map((name) => ({ name, numeric: true })),
      ...['crashes', 'wrote', 'held at the end'].map((name) => ({ name, numeric: true })),
    ],
    record.devices.map(({ name, author, spans, wrote, held }) => {
      const during = (state: DeviceState) =>
        spans.reduce((sum, span) => sum + (span.state === state ? span.to - span.from : 0), 0)
      return [
        markup`<bdi>${name}</bdi>`,
        author === '' ? 'never joined' : markup`<code title="${author}">${author.slice(0, 12)}…</code>`,
        ...STATES.map((state) => {
          const ms = during(state)
          return ms === 0 ? '' : formatShare(ms / Math.max(1, record.duration))
        }),
        formatNumber(counts.get(name) ?? 0),
        formatNumber(wrote),
        formatNumber(held),
      ]
    }),
  )
}
