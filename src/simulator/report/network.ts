import type { SimEventRecord, SimRecord } from '../record.ts'
import type { Html } from './html.ts'
import { markup } from './html.ts'
import { legendOf, plot, table } from './plot.ts'
import type { Loss, Reach } from './reach.ts'
import type { TimeScale } from './scale.ts'
import { formatShare, formatTime } from './scale.ts'

const ROW_HEIGHT = 16
const LOSS_HEIGHT = 36
/** Groups with a colour of their own; further ones share that of the last. */
const GROUP_COLOURS = 6
/** Parts of the width from which a cell has room for its letter. */
const LETTER_ROOM = 0.02

/** A, B … Z, then numbers. */
export function groupName(group: number): string {
  return group < 26 ? String.fromCharCode(65 + group) : String(group + 1)
}

/** The partition map: in each stretch of time, devices with the same letter and colour reached each other. */
export function partitionPlot(record: SimRecord, reach: readonly Reach[], scale: TimeScale): Html {
  const height = record.devices.length * ROW_HEIGHT
  const most = Math.max(0, ...reach.map(({ count }) => count))
  return plot(scale, {
    id: 'partitions',
    title: 'Who reached whom',
    description: `Partition map: ${reach.length} stretches of time in which the network was split, into at most ${most} groups. The table says the same.`,
    legend: legendOf([
      { className: 'together', text: 'not split: everyone reaches everyone' },
      ...Array.from({ length: Math.min(most, GROUP_COLOURS) }, (_, i) => ({
        className: `group-${i}`,
        text: i === GROUP_COLOURS - 1 && most > GROUP_COLOURS ? 'further groups' : `group ${groupName(i)}`,
      })),
      ...(reach.some(({ groups }) => groups.includes(null)) ? [{ className: 'unnamed', text: 'in no group' }] : []),
    ]),
    labels: record.devices.map(
      ({ name }, i) =>
        markup`<div class="name" style="height:${ROW_HEIGHT}px" title="${name}" data-device="${i}">
          <bdi>${name}</bdi>
        </div>`,
    ),
    height,
    drawing: markup`<rect class="together" x="0" y="0" width="100%" height="${height}"/>${reach.map((one) => cells(record, one, scale))}`,
    table: { summary: 'Partitions as a table', content: partitionTable(record, reach) },
  })
}

function cells(record: SimRecord, { from, to, groups }: Reach, scale: TimeScale): Html[] {
  const part = scale.part(to) - scale.part(from)
  const middle = scale.percent((from + to) / 2)
  return groups.map((group, i) => {
    const name = record.devices[i]?.name ?? ''
    const title = group === null ? `${name}: in no group` : `${name}: group ${groupName(group)}`
    const className = group === null ? 'unnamed' : `group-${Math.min(group, GROUP_COLOURS - 1)}`
    const y = i * ROW_HEIGHT
    const letter =
      group !== null && part >= LETTER_ROOM
        ? markup`<text class="letter" x="${middle}" y="${y + 12}" text-anchor="middle">${groupName(group)}</text>`
        : null
    return markup`<g><rect class="${className} cell" x="${scale.percent(from)}" y="${y + 1}" width="${(part * 100).toFixed(3)}%" height="${ROW_HEIGHT - 2}"/>${letter}<title>${title}, ${formatTime(from)} to ${formatTime(to)}</title></g> `
  })
}

function partitionTable(record: SimRecord, reach: readonly Reach[]): Html {
  return table(
    'Partitions',
    [{ name: 'from' }, { name: 'to' }, { name: 'groups that reached each other' }],
    reach.map(({ from, to, groups, count }) => [
      formatTime(from),
      formatTime(to),
      markup`<ul>
        ${Array.from({ length: count }, (_, group) => {
          const names = record.devices.filter((_device, i) => groups[i] === group).map(({ name }) => name)
          return markup`<li>${groupName(group)}: ${names.join(', ')}</li>`
        })}
      </ul>`,
    ]),
  )
}

/** The chance of losing a packet; where the record does not tell it, half the height. Changes on one way are marked. */
export function lossPlot(losses: readonly Loss[], ways: readonly SimEventRecord[], scale: TimeScale): Html {
  const top = Math.max(0.05, ...losses.map(({ chance }) => chance ?? 0))
  return plot(scale, {
    id: 'loss',
    title: 'Loss of packets',
    description: `Loss over time: ${losses.map(({ from, to, detail }) => `${formatTime(from)} to ${formatTime(to)}: ${detail}`).join('; ')}`,
    legend: markup`<p>Of the whole network.${ways.length > 0 && ' Triangles: a change on the way from one device to another.'}</p>`,
    height: LOSS_HEIGHT,
    levels: [{ part: 0, text: formatShare(top) }],
    drawing: markup`${losses.map(({ from, to, chance, detail }) => {
      const height = ((chance ?? top / 2) / top) * LOSS_HEIGHT
      const width = (scale.part(to) - scale.part(from)) * 100
      return markup`<rect class="loss" x="${scale.percent(from)}" y="${(LOSS_HEIGHT - height).toFixed(1)}" width="${width.toFixed(3)}%" height="${height.toFixed(1)}"><title>${formatTime(from)} to ${formatTime(to)}: ${detail}</title></rect>`
    })}${ways.map(
      ({ at, detail }) =>
        markup`<svg class="mark" x="${scale.percent(at)}" y="${LOSS_HEIGHT}"><path class="mark-way" d="M0-9 5 0H-5Z"/><title>${formatTime(at)}: ${detail}</title></svg>`,
    )}`,
  })
}
