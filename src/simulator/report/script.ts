import { Html } from './html.ts'

/**
 * What moves on the page: the moment that all plots show, the filter of events, the copying of the command. It builds
 * no HTML out of text. The page is complete without it.
 */
export const SCRIPT: Html = new Html(`
'use strict'
document.documentElement.classList.add('scripted')
const $ = (id) => document.getElementById(id)
const data = JSON.parse($('data').textContent)
const [plots, cursor, slider, readout] = ['plots', 'cursor', 'slider', 'readout'].map($)

// ---- numbers, as the page writes them
const two = (n) => String(n).padStart(2, '0')
function time(ms) {
  if (ms < 60000) return (ms / 1000).toFixed(2) + '\\u00a0s'
  const tenths = Math.floor(ms / 100)
  return Math.floor(tenths / 600) + '\\u00a0min\\u00a0' + two(Math.floor(tenths / 10) % 60) + '.' + (tenths % 10) + '\\u00a0s'
}
function bytes(n) {
  let unit = 0
  while (n >= 1024 && unit < 3) { n /= 1024; unit++ }
  return n.toFixed(unit === 0 || n >= 100 ? 0 : 1) + '\\u00a0' + ['B', 'KiB', 'MiB', 'GiB'][unit]
}

// ---- the moment
/** The last row that begins at or before the moment. */
function rowAt(rows, at) {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (rows[middle][0] <= at) low = middle + 1
    else high = middle
  }
  return rows[low - 1]
}
const during = (rows, at) => rows.find((row) => row[0] <= at && at < row[1])

function told(at, device) {
  const parts = [['at', time(at)]]
  const of = data.devices[device]
  if (of !== undefined) {
    const span = during(of.spans, at) ?? of.spans.at(-1)
    if (span !== undefined) parts.push([of.name, data.states[span[2]]])
  }
  const row = rowAt(data.progress, at)
  if (row !== undefined) {
    parts.push(['written', row[1]], ['held', row[2] + ' / ' + row[3] + ' / ' + row[4]])
    parts.push(['complete', (row[5] * 100).toFixed(1) + '\\u00a0%'])
  }
  const counts = data.states.map(() => 0)
  for (const { spans } of data.devices) {
    const span = during(spans, at) ?? spans.at(-1)
    if (span !== undefined) counts[span[2]]++
  }
  data.states.forEach((state, i) => { if (counts[i] > 0) parts.push([state, counts[i]]) })
  const split = during(data.reach, at)
  if (split !== undefined) parts.push(['split into', split[2] + (of && split[3][device] ? ', ' + of.name + ' in ' + split[3][device] : '')])
  const loss = during(data.losses, at)
  if (loss !== undefined) parts.push(['loss', loss[2]])
  const sent = during(data.sent, at)
  if (sent !== undefined) parts.push(['sent', bytes(sent[2]) + '/s'])
  return parts
}

function show(at, device) {
  at = Math.min(data.duration, Math.max(0, at))
  cursor.hidden = false
  plots.style.setProperty('--at', at / data.duration)
  const parts = told(at, device)
  slider.value = Math.round((at / data.duration) * 1000)
  slider.setAttribute('aria-valuetext', parts.map((part) => part.join(' ')).join(', '))
  readout.replaceChildren(...parts.flatMap(([name, value]) => {
    const item = document.createElement('span')
    const strong = document.createElement('b')
    strong.textContent = value
    item.append(name + ' ', strong)
    return [item, ' ']
  }))
}

function deviceAt(event) {
  const figure = event.target.closest('#devices, #partitions')
  const area = figure?.querySelector('.area')
  const names = figure?.querySelectorAll('.name')
  if (!area || names.length === 0) return undefined
  const row = Math.floor((event.clientY - area.getBoundingClientRect().top) / names[0].getBoundingClientRect().height)
  return row >= 0 && row < names.length ? row : undefined
}
function point(event) {
  const { left, width } = plots.querySelector('.area').getBoundingClientRect()
  if (event.target.closest('#moment') || event.clientX < left - 4 || event.clientX > left + width + 4) return
  show(((event.clientX - left) / width) * data.duration, deviceAt(event))
}
plots.addEventListener('pointermove', point)
plots.addEventListener('pointerdown', point)
slider.addEventListener('input', () => show((slider.value / 1000) * data.duration))
document.addEventListener('click', (event) => {
  const link = event.target.closest('a[data-at]')
  if (link !== null) show(Number(link.dataset.at))
})
const aimed = [...document.querySelectorAll('.failures a[data-at]')].find(({ hash }) => hash === location.hash)
if (aimed !== undefined) show(Number(aimed.dataset.at))

// ---- the filter of events
const form = document.querySelector('.filter')
const rows = [...$('event-rows').rows]
const texts = rows.map((row) => row.textContent.toLowerCase())
function filter() {
  const kinds = new Set([...form.elements.kind?.length ? form.elements.kind : [form.elements.kind]].filter((box) => box?.checked).map((box) => box.value))
  const device = form.elements.device.value
  const text = form.elements.text.value.trim().toLowerCase()
  let count = 0
  rows.forEach((row, i) => {
    const fits = kinds.has(row.dataset.k) && (device === '' || row.dataset.d === device) && texts[i].includes(text)
    row.hidden = !fits
    if (fits) count++
  })
  $('matching').textContent = count === 1 ? '1 event' : count + ' events'
}
form.addEventListener('input', filter)
form.addEventListener('submit', (event) => event.preventDefault())
for (const [id, checked] of [['all-kinds', true], ['no-kinds', false]]) {
  $(id).addEventListener('click', () => {
    for (const box of form.querySelectorAll('input[name=kind]')) box.checked = checked
    filter()
  })
}

// ---- copying
$('copy').addEventListener('click', async () => {
  const text = $('command').textContent
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    getSelection().selectAllChildren($('command'))
    document.execCommand('copy')
  }
  $('copy').textContent = 'Copied'
})
`)
