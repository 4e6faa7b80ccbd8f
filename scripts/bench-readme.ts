/**
 * Keeps the figures in documents equal to `bench/results.json`.
 *
 *   <!-- bench --> … <!-- /bench -->         the tables; in README.md one table of the rows marked as headlines
 *   <!-- bench:NAME --> … <!-- /bench -->    the table of the group called NAME, or the figure of the row called so
 *
 * `--write` fills the places in, `--check` (the default) says which are not what the results say.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { BenchResults, BenchRow } from '../bench/results.ts'
import { filesBelow, REPOSITORY } from './lib/files.ts'
import { messageOf, Report } from './lib/report.ts'

const RESULTS = 'bench/results.json'
/** The document that shows a few of the rows only. */
const HEADLINES = 'README.md'
const PLACE = /(<!-- bench(?::([^>]*?))? -->)([\s\S]*?)(<!-- \/bench -->)/g

/** Three significant digits, thousands apart by a thin gap: 152 000, 3.45, 0.56. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) throw new TypeError(`not a figure: ${value}`)
  if (value === 0) return '0'
  const rounded = Number(value.toPrecision(3))
  const [whole = '', fraction] = Math.abs(rounded).toFixed(decimals(rounded)).split('.')
  const grouped = whole.replaceAll(/\B(?=(?:\d{3})+$)/g, ' ')
  return (rounded < 0 ? '-' : '') + grouped + (fraction === undefined ? '' : `.${fraction}`)
}

function decimals(value: number): number {
  const magnitude = Math.floor(Math.log10(Math.abs(value)))
  return Number.isInteger(value) ? 0 : Math.max(0, 2 - magnitude)
}

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

function ratioCell(row: BenchRow): string {
  return row.ratios
    .map((ratio) => {
      const verdict = ratio.met === undefined ? '' : ratio.met ? ', met' : ', missed'
      return `${figure(ratio.value)} ${ratio.label}${ratio.goal === undefined ? '' : ` (goal ${ratio.goal}${verdict})`}`
    })
    .join('<br>')
}

function tableLines(rows: readonly BenchRow[]): string[] {
  const lines = ['| what | measured | beside |', '| --- | --- | --- |']
  for (const row of rows) {
    const name = row.note === undefined ? row.name : `${row.name}<br>${row.note}`
    lines.push(`| ${cell(name)} | ${figure(row.value)} ${cell(row.unit)} | ${cell(ratioCell(row))} |`)
  }
  return lines
}

function machineText({ machine, date, rows }: BenchResults): string {
  const later = rows.filter((row) => row.date !== undefined && row.date !== date)
  const days = [...new Set(later.map((row) => row.date))].map((day) => {
    const groups = new Set(later.filter((row) => row.date === day).map(({ group }) => group))
    return `; ${[...groups].join(', ')} on ${day}`
  })
  return `Medians on ${machine}, ${date}${days.join('')}.`
}

/** All figures as Markdown, a table for each group, with the machine's line under them. */
export function renderTables(results: BenchResults): string {
  const groups = [...new Set(results.rows.map(({ group }) => group))]
  const parts = groups.flatMap((group) => [
    ...(group === undefined ? [] : [`**${group}**`]),
    tableLines(results.rows.filter((row) => row.group === group)).join('\n'),
  ])
  return `\n\n${[...parts, machineText(results)].join('\n\n')}\n\n`
}

/** The figures that a user would ask for, in one table: each beside its goals and one peer. */
export function renderHeadlines(results: BenchResults): string {
  const headlines = results.rows.filter((row) => row.headline === true)
  return renderTable(
    results,
    headlines.map((row) => {
      const others = row.ratios.filter(({ goal }) => goal === undefined)
      const ratios = [...row.ratios.filter(({ goal }) => goal !== undefined), ...others.slice(0, 1)]
      const { note: _note, ...brief } = row
      return { ...brief, ratios }
    }),
  )
}

function renderTable(results: BenchResults, rows: readonly BenchRow[]): string {
  return `\n\n${[tableLines(rows).join('\n'), machineText(results)].join('\n\n')}\n\n`
}

/** The same document with every place filled in. Throws if a place names a group or row that does not exist. */
export function fillIn(text: string, results: BenchResults, document: string): string {
  const render = document === HEADLINES ? renderHeadlines : renderTables
  return text.replaceAll(PLACE, (_all, open: string, name: string | undefined, _old: string, close: string) => {
    if (name === undefined) return open + render(results) + close
    const group = results.rows.filter((row) => row.group === name.trim())
    if (group.length > 0) return open + renderTable(results, group) + close
    const row = results.rows.find((candidate) => candidate.name === name.trim())
    if (row === undefined) throw new Error(`${RESULTS} has no group or row called "${name.trim()}"`)
    return `${open}${figure(row.value)} ${row.unit}${close}`
  })
}

function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length
}

/** How much of a document counts when it is compared: tables may be padded by a formatter. */
const bare = (text: string) => text.replaceAll(/\|[ -]+(?=\|)/g, '|').replaceAll(/\s+/g, ' ')

/** Checks, or with `write` mends, all documents. */
export function checkBench(root: string, report: Report, write = false): void {
  const documents = ['README.md', ...filesBelow(root, 'docs', (path) => path.endsWith('.md')), 'relay-server/README.md']
  if (!existsSync(join(root, RESULTS))) {
    report.notice(`${RESULTS} does not exist yet: figures in documents are not checked`)
    return
  }
  const results = JSON.parse(readFileSync(join(root, RESULTS), 'utf8')) as BenchResults
  for (const document of documents) {
    const path = join(root, document)
    if (!existsSync(path)) continue
    const text = readFileSync(path, 'utf8')
    try {
      if (write) {
        const filled = fillIn(text, results, document)
        if (filled !== text) writeFileSync(path, filled)
        continue
      }
      for (const match of text.matchAll(PLACE)) {
        if (bare(fillIn(match[0], results, document)) !== bare(match[0])) {
          report.problem(
            `${document}:${lineOf(text, match.index)}`,
            `is not what ${RESULTS} says; run: npm run bench:readme`,
          )
        }
      }
    } catch (error) {
      report.problem(document, messageOf(error))
    }
  }
}

if (import.meta.filename === process.argv[1]) {
  const { values } = parseArgs({
    options: { write: { type: 'boolean' }, check: { type: 'boolean' }, root: { type: 'string', default: REPOSITORY } },
  })
  const report = new Report()
  checkBench(resolve(values.root), report, values.write === true)
  report.finish('figures in documents: ok')
}
