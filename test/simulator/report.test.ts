/** The page about a simulated run: complete, honest about large runs, and unmoved by what the record says. */
import { writeFileSync, mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { randomScenario } from '../../src/simulator/random-scenario.ts'
import { renderReport } from '../../src/simulator/report/page.ts'
import { lossOf, lossOnWays, reachOf } from '../../src/simulator/report/reach.ts'
import { formatBytes, formatNumber, formatShare, formatTime, TimeScale } from '../../src/simulator/report/scale.ts'
import { MAX_BARS, MAX_POINTS, OTHER_KINDS, progressOf, sentOverTime } from '../../src/simulator/report/series.ts'
import type { SimRecord } from '../../src/simulator/record.ts'
import { simulate } from '../../src/simulator/simulate.ts'
import { Browser, browserMissing } from './browser.ts'
import { sampleRecord } from './sample-record.ts'

const MiB = 1024 * 1024
const HOSTILE = [
  '</script><img src=x onerror=alert(1)>',
  '"><svg onload=alert(2)>',
  "' onmouseover='alert(3)",
  '<!-- <script>',
  ']]></title></style><iframe src="http://192.0.2.1/">',
  '&lt;b&gt; &amp;',
  '\u202egnp.exe\u202c \0 \ud800 \n end',
  '__proto__',
]

const usual = (): SimRecord => sampleRecord({ seed: 7, devices: 8, duration: 90_000, writeEvery: 2000 })

function hostile(): SimRecord {
  let next = 0
  const words = (): string => HOSTILE[next++ % HOSTILE.length] as string
  const record = sampleRecord({
    seed: 9,
    devices: HOSTILE.length,
    duration: 60_000,
    writeEvery: 3000,
    names: HOSTILE,
    detail: words,
    ok: false,
  })
  const kinds = new Map(record.traffic.map(({ kind }) => [kind, words()]))
  for (const one of record.traffic) one.kind = kinds.get(one.kind) as string
  for (const one of record.trafficSamples) {
    one.bytes = Object.fromEntries(Object.entries(one.bytes).map(([kind, bytes]) => [kinds.get(kind) as string, bytes]))
  }
  for (const event of record.events) if (event.kind === 'wake') event.kind = words()
  for (const failure of record.verdict.failures) Object.assign(failure, { check: words(), detail: words() })
  for (const device of record.devices) device.author = words()
  record.parameters = { [words()]: words(), [words()]: words(), loss: words() }
  record.command = `peerlog sim ${words()}${words()}${words()}`
  record.trace = words()
  record.peerlog = words()
  return record
}

const VOID = new Set(['meta', 'link', 'input', 'br'])

/** Asserts that every element is ended where it should be, and returns the names of all that were begun. */
function elementsOf(page: string): string[] {
  const open: string[] = []
  const names: string[] = []
  const bare = page.replace(/^<!doctype html>/, '').replaceAll(/(<(script|style)\b[^>]*>)[^]*?(?=<\/\2>)/g, '$1')
  for (const [tag, end, name = '', empty] of bare.matchAll(
    /<(\/?)([a-zA-Z]\w*)(?:\s+[\w-]+(?:="[^"<>]*")?)*\s*(\/?)>/g,
  )) {
    if (end === '/') expect(open.pop(), tag).toBe(name)
    else {
      names.push(name)
      if (empty !== '/' && !VOID.has(name)) open.push(name)
    }
  }
  expect(open).toEqual([])
  expect(bare.replaceAll(/<\/?[a-zA-Z]\w*(?:\s+[\w-]+(?:="[^"<>]*")?)*\s*\/?>/g, '')).not.toMatch(/[<>]/)
  return names
}

/** The page without its script. */
const drawnIn = (page: string): string => page.slice(0, page.lastIndexOf('<script>'))

it('says what happened, and needs nothing but itself', () => {
  const record = usual()
  const page = renderReport(record)
  expect(renderReport(structuredClone(record))).toBe(page)
  const names = elementsOf(page)
  expect(names.filter((name) => name === 'script')).toHaveLength(2)
  expect(page).not.toMatch(/https?:|\bsrc=|@import|url\((?!#)/)
  expect(page).toContain('<h1>Passed</h1>')
  expect(page).toContain(record.command)
  expect(page).toContain(record.trace)
  for (const { name, author } of record.devices) {
    expect(page).toContain(`<bdi>${name}</bdi>`)
    expect(page).toContain(author.slice(0, 12))
  }
  for (const { kind } of record.traffic) expect(page).toContain(`</span> ${kind}`)
  // Every outage is drawn, and marked by its event.
  const crashes = record.events.filter(({ kind }) => kind === 'crash').length
  expect(crashes).toBeGreaterThan(1)
  expect(page.split('class="state crashed"').length - 2).toBe(crashes)
  expect(page.split('class="mark-crash"').length - 2).toBe(crashes)
  expect(page.split('<tr data-k=').length - 1).toBe(record.events.length)
})

it('shows a run of the simulator', async () => {
  const scenario = randomScenario({ seed: 5, devices: 6, events: 60, transport: 'stream' })
  const record = await simulate({ scenario, command: 'peerlog sim --seed 5', version: '0.0.0' })
  const page = renderReport(record)
  elementsOf(page)
  expect(drawnIn(page)).not.toMatch(/NaN|Infinity|undefined/)
  expect(page).toContain(record.trace)
  expect(page).toContain(`<h1>${record.verdict.ok ? 'Passed' : 'Failed'}</h1>`)
  expect(page.split('<tr data-k=').length - 1).toBe(record.events.length)
  for (const { name, spans } of record.devices) {
    expect(page).toContain(`<bdi>${name}</bdi>`)
    // Every state but absence is drawn.
    const drawn = spans.filter(({ from, to, state }) => state !== 'absent' && to > from)
    expect(page.split(`<title>${name}: `).length - 1).toBeGreaterThanOrEqual(drawn.length)
  }
  const sent = sentOverTime(record).stretches.flatMap(({ bytes }) => bytes)
  const sum = sent.reduce((all, one) => all + one, 0)
  // What was sent at the very beginning, before any time had passed, is not drawn.
  expect(sum).toBeLessThanOrEqual(record.traffic.reduce((all, { bytes }) => all + bytes, 0))
  expect(sum).toBeGreaterThan(0)
})

it('leads from each failure to its moment', () => {
  const record = sampleRecord({ seed: 3, devices: 5, duration: 60_000, writeEvery: 2000, ok: false })
  const page = renderReport(record)
  elementsOf(page)
  expect(page).toContain('<h1>Failed</h1>')
  for (const [i, { check, at }] of record.verdict.failures.entries()) {
    expect(page).toContain(`<a href="#failure-${i + 1}" data-at="${at}">`)
    expect(page).toContain(`<g id="failure-${i + 1}"`)
    expect(page).toContain(check)
  }
})

it('takes what the record says for text', () => {
  const page = renderReport(hostile())
  const names = elementsOf(page)
  expect(names.filter((name) => ['script', 'img', 'iframe'].includes(name))).toEqual(['script', 'script'])
  expect(drawnIn(page).replaceAll(/"[^"]*"/g, '""')).not.toMatch(/<[^>]*\son\w+=/)
  expect(page).toContain('&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;')
  expect(page).not.toMatch(/[\u202a-\u202e\0]/)
  expect(page.isWellFormed()).toBe(true)
})

it('draws what there is when there is little, or nonsense', () => {
  const record = usual()
  const nothing: SimRecord = {
    ...record,
    duration: 0,
    devices: [],
    events: [],
    samples: [],
    partitions: [],
    traffic: [],
    trafficSamples: [],
    parameters: {},
    totals: { ...record.totals, packets: 0, bytes: 0, bytesPerByte: NaN, redundancy: Infinity },
  }
  const page = renderReport(nothing)
  elementsOf(page)
  expect(drawnIn(page)).not.toMatch(/NaN|Infinity|undefined/)
  const odd = usual()
  odd.duration = 1
  elementsOf(renderReport(odd))
  expect(drawnIn(renderReport(odd))).not.toMatch(/NaN|Infinity|undefined/)
})

it('stays under a megabyte however long the run', () => {
  const record = sampleRecord({ seed: 1, devices: 20, duration: 10 * 60_000, writeEvery: 700 })
  expect(record.events.length).toBeGreaterThan(10_000)
  expect(record.samples.length).toBeGreaterThan(2000)
  const page = renderReport(record)
  expect(page.length).toBeLessThan(MiB)
  // Of the frequent kinds a selection, of the rare ones all.
  expect(page).toContain('events are listed')
  const rows = [...page.matchAll(/<td>(\w+)<\/td><td>/g)].map(([, kind]) => kind)
  for (const kind of ['crash', 'partition', 'loss', 'clock']) {
    expect(rows.filter((one) => one === kind)).toHaveLength(record.events.filter((one) => one.kind === kind).length)
  }
})

it('keeps sums and ends when it leaves out samples', () => {
  const record = sampleRecord({ seed: 2, devices: 4, duration: 5 * 60_000, writeEvery: 5000 })
  const progress = progressOf(record)
  expect(progress).toHaveLength(MAX_POINTS)
  expect(progress[0]?.at).toBe(record.samples[0]?.at)
  expect(progress.at(-1)).toMatchObject({ at: record.samples.at(-1)?.at, written: record.samples.at(-1)?.written })
  const { kinds, stretches } = sentOverTime(record)
  expect(stretches.length).toBeLessThanOrEqual(MAX_BARS)
  expect(kinds.at(-1)).toBe(OTHER_KINDS)
  const drawn = stretches.flatMap(({ bytes }) => bytes).reduce((sum, one) => sum + one, 0)
  expect(drawn).toBe(record.totals.bytes)
})

it('counts only members among those that hold', () => {
  const record = usual()
  record.devices = (['online', 'absent', 'crashed'] as const).map((state, i) => ({
    name: `d${i}`,
    author: '',
    wrote: 0,
    held: 0,
    spans: [{ from: 0, to: 100, state }],
  }))
  record.samples = [{ at: 50, written: 9, held: [8, 0, 3], complete: 0.6 }]
  expect(progressOf(record)).toEqual([{ at: 50, written: 9, least: 3, median: 5.5, most: 8, complete: 0.6 }])
})

it('knows who reached whom where partitions overlap', () => {
  const record = usual()
  record.devices = ['a', 'b', 'c', 'd'].map((name) => ({ name, author: '', spans: [], wrote: 0, held: 0 }))
  record.partitions = [
    { from: 10, to: 30, groups: [['a'], ['b', 'c', 'd']] },
    { from: 20, to: 40, groups: [['a', 'b'], ['c']] },
  ]
  expect(reachOf(record)).toEqual([
    { from: 10, to: 20, groups: [1, 0, 0, 0], count: 2 },
    { from: 20, to: 30, groups: [0, 1, 2, null], count: 3 },
    { from: 30, to: 40, groups: [0, 0, 1, null], count: 2 },
  ])
})

it('reads the chance of loss out of what is told', () => {
  const record = usual()
  record.duration = 100
  record.parameters = { loss: 0.05 }
  record.events = ['25 % of packets', 'none: 0 %', 'a storm'].map((detail, i) => ({
    at: 20 * (i + 1),
    kind: 'loss',
    device: null,
    detail,
  }))
  expect(lossOf(record).map(({ from, to, chance }) => [from, to, chance])).toEqual([
    [0, 20, 0.05],
    [20, 40, 0.25],
    [60, 100, null],
  ])
  // What is lost on one way only changes nothing for the others.
  const oneWay = { at: 30, kind: 'loss', device: null, detail: 'loss 0.5 from device-1 to device-2' }
  record.events.splice(1, 0, oneWay)
  expect(lossOf(record)).toHaveLength(3)
  expect(lossOnWays(record)).toEqual([oneWay])
})

it('writes numbers as a person reads them', () => {
  expect(formatNumber(1_234_567.891, 2)).toBe('1\u202f234\u202f567.89')
  expect([0, 850, 12_350, 60_000, 125_300].map(formatTime)).toEqual(
    ['0 s', '850 ms', '12.35 s', '1 min', '2 min 5.3 s'].map((text) => text.replaceAll(' ', '\u00a0')),
  )
  expect([0, 1023, 1024, 5_000_000].map(formatBytes)).toEqual(
    ['0 B', '1\u202f023 B', '1.0 KiB', '4.8 MiB'].map((text) => text.replace(' ', '\u00a0')),
  )
  expect([0, 0.0001, 0.5, 0.9999, 1].map(formatShare)).toEqual(
    ['0 %', '<\u20090.1 %', '50 %', '>\u200999.9 %', '100 %'].map((text) => text.replace(' ', '\u00a0')),
  )
  for (const duration of [1, 999, 61_000, 3_600_000, 10 ** 9]) {
    const ticks = new TimeScale(duration).ticks()
    expect(ticks.length).toBeGreaterThan(1)
    expect(ticks.length).toBeLessThan(12)
  }
})

const missing = browserMissing()
if (missing !== null) console.log(`the report is not opened in a browser: ${missing}`)

it.runIf(missing === null)('works in a browser, from a file, without a word on the console', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'peerlog-report-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const urlOf = (name: string, record: SimRecord): string => {
    const file = path.join(folder, name)
    writeFileSync(file, renderReport(record))
    return pathToFileURL(file).href
  }
  await using browser = await Browser.start()
  const text = (id: string): Promise<string> => browser.evaluate<string>(`document.getElementById('${id}').textContent`)

  // What a reader does, at the width of a desk.
  const record = sampleRecord({ seed: 7, devices: 8, duration: 90_000, writeEvery: 2000, ok: false })
  const url = urlOf('failed.html', record)
  await browser.resize(1280, 900)
  await browser.open(url)
  expect(await browser.evaluate(`document.getElementById('cursor').hidden`)).toBe(true)
  await browser.evaluate(`document.getElementById('held').scrollIntoView({ block: 'center' })`)
  interface Box {
    left: number
    top: number
    width: number
    height: number
  }
  const box = (selector: string): Promise<Box> =>
    browser.evaluate(
      `(({ left, top, width, height }) => ({ left, top, width, height }))(document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect())`,
    )
  const held = await box('#held .area')
  await browser.movePointer(held.left + held.width / 2, held.top + 20)
  expect(await text('readout')).toContain('at 45.0')
  const sample = record.samples.find(({ at }) => at === 45_000)
  expect(await text('readout')).toContain(`written ${sample?.written}`)
  for (const id of ['devices', 'partitions', 'held', 'complete', 'sent']) {
    const area = await box(`#${id} .area`)
    const cursor = await box('#cursor')
    expect(Math.abs(cursor.left - area.left - area.width / 2)).toBeLessThan(2)
    expect(cursor.top).toBeLessThan(area.top)
    expect(cursor.top + cursor.height).toBeGreaterThan(area.top + area.height)
  }
  await browser.evaluate(`document.getElementById('devices').scrollIntoView({ block: 'center' })`)
  const lanes = await box('#devices .area')
  await browser.movePointer(lanes.left + 30, lanes.top + 2.5 * 26)
  expect(await text('readout')).toContain(`${record.devices[2]?.name} online`)

  // With the keyboard.
  await browser.evaluate(`document.getElementById('slider').focus()`)
  await browser.press('Home')
  expect(await text('readout')).toContain('at 0.00')
  await browser.press('ArrowRight')
  expect(await text('readout')).toContain('at 0.09')
  expect(await browser.evaluate(`document.getElementById('slider').getAttribute('aria-valuetext')`)).toContain(
    'at 0.09',
  )

  // Closer: where the pointer is, is still the moment that is told, and the whole run comes back.
  await browser.evaluate(`document.getElementById('devices').scrollIntoView({ block: 'center' })`)
  const told = async (part: number): Promise<number> => {
    const area = await box('#devices .area')
    await browser.movePointer(area.left + area.width * part, area.top + 50)
    return Number(/at ([\d.]+)/.exec(await text('readout'))?.[1])
  }
  expect(await told(0.5)).toBeCloseTo(45, 0)
  const axis = await text('devices')
  for (let times = 0; times < 2; times++) await browser.evaluate(`document.getElementById('closer').click()`)
  expect(await told(0.5)).toBeCloseTo(45, 0)
  expect(await told(0)).toBeCloseTo(45 - 90 / 8, 0)
  expect(await told(1)).toBeCloseTo(45 + 90 / 8, 0)
  expect((await box('#cursor')).left).toBeCloseTo(lanes.left + lanes.width, -1)
  const [time, area] = [await box('#held .time'), await box('#held .area')]
  expect(time.width / area.width).toBeGreaterThan(3.9)
  expect(await text('devices')).not.toBe(axis)
  await browser.evaluate(`document.getElementById('whole').click()`)
  expect(await text('devices')).toBe(axis)
  expect(await told(0.5)).toBeCloseTo(45, 0)

  // From a failure to its moment.
  await browser.evaluate(`document.querySelector('.failures a').click()`)
  expect(await browser.evaluate('location.hash')).toBe('#failure-1')
  expect(await text('readout')).toContain('at 55.80')

  // The filter of events.
  const shown = (): Promise<string[]> =>
    browser.evaluate(
      `[...document.querySelectorAll('#event-rows tr')].filter((row) => row.offsetParent !== null).map((row) => row.cells[1].textContent)`,
    )
  const count = (fits: (event: SimRecord['events'][number]) => boolean): number => record.events.filter(fits).length
  expect(await shown()).toHaveLength(record.events.length)
  await browser.evaluate(`document.getElementById('no-kinds').click()`)
  expect(await shown()).toEqual([])
  await browser.evaluate(
    `[...document.querySelectorAll('.chip')].find((chip) => chip.textContent.includes('crash')).click()`,
  )
  const crashes = count(({ kind }) => kind === 'crash')
  expect(await shown()).toEqual(Array.from({ length: crashes }, () => 'crash'))
  expect(await text('matching')).toBe(crashes === 1 ? '1 event' : `${crashes} events`)
  await browser.evaluate(`document.getElementById('all-kinds').click()`)
  const change = (name: string, value: string): Promise<unknown> =>
    browser.evaluate(
      `{ const field = document.querySelector('.filter').elements.${name}; field.value = '${value}'; field.dispatchEvent(new Event('input', { bubbles: true })) }`,
    )
  await change('device', '2')
  expect(await shown()).toHaveLength(count(({ device }) => device === record.devices[2]?.name))
  await change('text', 'JOIN')
  expect(await shown()).toEqual(['join'])
  await browser.evaluate(`document.getElementById('copy').click()`)
  await browser.evaluate(
    `new Promise((resolve) => { const look = () => document.getElementById('copy').textContent === 'Copied' ? resolve() : requestAnimationFrame(look); look() })`,
  )

  // On a phone nothing but tables is wider than the screen; in the dark text is light.
  await browser.resize(375, 800)
  await browser.prefer('dark')
  expect(await browser.evaluate('document.documentElement.scrollWidth')).toBe(375)
  const [ink, ground] = await browser.evaluate<[string, string]>(
    `[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]`,
  )
  expect(brightness(ink) - brightness(ground)).toBeGreaterThan(500)

  // What the record says stays text.
  const bad = urlOf('hostile.html', hostile())
  await browser.open(bad)
  expect(
    await browser.evaluate(`document.querySelectorAll('img, iframe, [onload], [onerror], [onmouseover]').length`),
  ).toBe(0)
  const names = await browser.evaluate<string[]>(
    `[...document.querySelectorAll('#devices .name')].map((name) => name.textContent.trim())`,
  )
  expect(names.slice(0, 6)).toEqual(HOSTILE.slice(0, 6))
  expect(await text('readout')).toContain('Move over a plot')
  expect(await shown()).toHaveLength(await browser.evaluate(`document.querySelectorAll('#event-rows tr').length`))

  expect(browser.complaints).toEqual([])
  expect(browser.requests.map((one) => one.replace(/#.*/, ''))).toEqual([url, bad])
})

/** The sum of red, green and blue. */
function brightness(colour: string): number {
  return (colour.match(/\d+/g) ?? []).slice(0, 3).reduce((sum, part) => sum + Number(part), 0)
}
