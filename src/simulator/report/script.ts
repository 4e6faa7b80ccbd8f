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
    parts.push(['written', row[1]], ['held min / median / max', row[2] + ' / ' + row[3] + ' / ' + row[4]])
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

// ---- the part of the run that is looked at
const MAX_ZOOM = 64
let moment = null
let zoom = 1
/** Where the part begins, 0 to 1. */
let start = 0
const times = [...plots.querySelectorAll('.time')]
const axes = [...plots.querySelectorAll('.axis')].map((axis) => ({ axis, whole: [...axis.childNodes] }))

function view(newZoom, newStart) {
  zoom = Math.min(MAX_ZOOM, Math.max(1, newZoom))
  start = Math.min(1 - 1 / zoom, Math.max(0, newStart))
  plots.classList.toggle('zoomed', zoom > 1)
  for (const one of times) {
    one.setAttribute('x', -start * zoom * 100 + '%')
    one.setAttribute('width', zoom * 100 + '%')
  }
  for (const { axis, whole } of axes) axis.replaceChildren(...(zoom === 1 ? whole : marks(Number(axis.dataset.height))))
  $('wider').disabled = $('whole').disabled = zoom === 1
  $('closer').disabled = zoom === MAX_ZOOM
  place()
}
function svg(name, attributes, text = '') {
  const node = document.createElementNS(times[0].namespaceURI, name)
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value)
  node.textContent = text
  return node
}
function marks(height) {
  const span = data.duration / zoom
  const step = data.steps.find((one) => span / one <= 8) ?? span
  const nodes = [svg('line', { class: 'base', x1: 0, x2: '100%', y1: height, y2: height })]
  for (let at = Math.ceil((start * data.duration) / step) * step; at <= start * data.duration + span; at += step) {
    const x = (at / data.duration) * 100 + '%'
    nodes.push(svg('line', { class: 'grid', x1: x, x2: x, y1: 0, y2: height }))
    nodes.push(svg('text', { class: 'tick', x, y: height + 16, 'text-anchor': 'middle' }, time(at).replace(/\\.0+(?=\\D)/, '')))
  }
  return nodes
}
function place() {
  const part = moment === null ? -1 : (moment / data.duration - start) * zoom
  cursor.hidden = part < 0 || part > 1
  plots.style.setProperty('--at', part)
}
function zoomBy(factor) {
  const middle = (moment ?? data.duration / 2) / data.duration
  view(zoom * factor, middle - 0.5 / Math.max(1, zoom * factor))
}
$('closer').addEventListener('click', () => zoomBy(2))
$('wider').addEventListener('click', () => zoomBy(0.5))
$('whole').addEventListener('click', () => view(1, 0))

function show(at, device) {
  moment = at = Math.min(data.duration, Math.max(0, at))
  const part = at / data.duration
  if (part < start || part > start + 1 / zoom) view(zoom, part - 0.5 / zoom)
  else place()
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
  show((start + (event.clientX - left) / width / zoom) * data.duration, deviceAt(event))
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
