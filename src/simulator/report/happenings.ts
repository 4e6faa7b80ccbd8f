import type { SimEventRecord, SimRecord } from '../record.ts'
import type { Html } from './html.ts'
import { markup } from './html.ts'
import { formatNumber, formatTime } from './scale.ts'
import { thinned } from './series.ts'

/** Rows of the list, at most: a browser still filters them at once, and the page stays small. */
export const MAX_LISTED_EVENTS = 1500
/** Characters of a detail that are shown. */
const MAX_DETAIL_CHARACTERS = 300

interface Kind {
  kind: string
  total: number
  shown: number
}

/** What happened in the world, to be filtered by kind, device and text. */
export function happenings(record: SimRecord): Html {
  const { events, kinds } = listed(record.events)
  const left = record.events.length - events.length
  return markup`<section id="events" aria-labelledby="events-title">
    <h2 id="events-title">What happened</h2>
    ${
      left > 0 &&
      markup`<p>
        ${formatNumber(events.length)} of ${formatNumber(record.events.length)} events are listed; of the most frequent
        kinds a selection, evenly in time.
      </p>`
    }
    <form class="filter needs-script" aria-label="Filter of events">
      <fieldset>
        <legend>Kinds</legend>
        ${kinds.map(({ kind, total }, i) => markup`<label class="chip"><input type="checkbox" name="kind" value="${i}" checked/> ${kind} <small>${formatNumber(total)}</small></label>`)}
        <button type="button" id="all-kinds">all</button> <button type="button" id="no-kinds">none</button>
      </fieldset>
      <label>Device
        <select name="device">
          <option value="">all</option>
          ${record.devices.map(({ name }, i) => markup`<option value="${i}">${name}</option>`)}
          <option value="-1">the network</option>
        </select></label>
      <label>Text <input type="search" name="text" autocomplete="off"/></label>
      <output id="matching" aria-live="polite">${formatNumber(events.length)} events</output>
    </form>
    <div class="scroll tall" tabindex="0" role="region" aria-label="Events">
      <table>
        <caption>
          Events, in order
        </caption>
        <thead>
          <tr>
            <th scope="col">at</th>
            <th scope="col">kind</th>
            <th scope="col">device</th>
            <th scope="col">detail</th>
          </tr>
        </thead>
        <tbody id="event-rows">
          ${rows(record, events, kinds)}
        </tbody>
      </table>
    </div>
  </section>`
}

function rows(record: SimRecord, events: readonly SimEventRecord[], kinds: readonly Kind[]): Html[] {
  const kindNumbers = new Map(kinds.map(({ kind }, i) => [kind, i]))
  const deviceNumbers = new Map(record.devices.map(({ name }, i) => [name, i]))
  return events.map(({ at, kind, device, detail }) => {
    const number = device === null ? -1 : (deviceNumbers.get(device) ?? -2)
    const text = detail.length > MAX_DETAIL_CHARACTERS ? `${detail.slice(0, MAX_DETAIL_CHARACTERS)}…` : detail
    return markup`<tr data-k="${kindNumbers.get(kind) ?? -1}" data-d="${number}"${kind === 'message' && markup` class="message"`}>
      <td class="number"><a href="#devices" data-at="${at}">${formatTime(at)}</a></td>
      <td>${kind}</td><td>${device === null ? markup`<i>network</i>` : markup`<bdi>${device}</bdi>`}</td><td>${text}</td></tr>`
  })
}

/** All events, if there are not too many; else of each kind as many, the rarest in full. Kinds by number, the rarest first. */
function listed(events: readonly SimEventRecord[]): { events: SimEventRecord[]; kinds: Kind[] } {
  const byKind = new Map<string, { event: SimEventRecord; order: number }[]>()
  for (const [order, event] of events.entries()) {
    const list = byKind.get(event.kind)
    if (list === undefined) byKind.set(event.kind, [{ event, order }])
    else list.push({ event, order })
  }
  const lists = [...byKind].toSorted((a, b) => a[1].length - b[1].length)
  const chosen: { event: SimEventRecord; order: number }[] = []
  const kinds: Kind[] = []
  for (const [i, [kind, list]] of lists.entries()) {
    const room = Math.max(2, Math.floor((MAX_LISTED_EVENTS - chosen.length) / (lists.length - i)))
    const some = thinned(list, room)
    chosen.push(...some)
    kinds.push({ kind, total: list.length, shown: some.length })
  }
  return { events: chosen.toSorted((a, b) => a.order - b.order).map(({ event }) => event), kinds }
}
