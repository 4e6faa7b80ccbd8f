/**
 * `npm run bench:reconcile` measures what each way of comparing two replicas costs, writes bench/reconcile.json, plots
 * into docs/reconciliation/, and the table of docs/RECONCILIATION.md. With --draw it only draws from the figures of an
 * earlier run.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { machineLine } from '../lib/measure.ts'
import { plotsOf, tableOf } from './document.ts'
import type { Figures } from './figures.ts'
import { measure } from './measure.ts'
import { svgOf } from './plot.ts'

const PLACE = /(<!-- reconcile -->)[\s\S]*?(<!-- \/reconcile -->)/

const at = (...parts: string[]): string => path.join(import.meta.dirname, '../..', ...parts)
const file = at('bench/reconcile.json')

function measured(): Figures {
  const start = performance.now()
  const figures = measure()
  const seconds = Math.round((performance.now() - start) / 1000)
  return { machine: machineLine(), date: new Date().toISOString().slice(0, 10), seconds, figures }
}

const figures = process.argv.includes('--draw') ? (JSON.parse(readFileSync(file, 'utf8')) as Figures) : measured()
writeFileSync(file, `${JSON.stringify(figures, null, 2)}\n`)
for (const [name, plot] of Object.entries(plotsOf(figures))) {
  writeFileSync(at('docs/reconciliation', `${name}.svg`), svgOf(plot))
}
const document = at('docs/RECONCILIATION.md')
const text = readFileSync(document, 'utf8')
if (!PLACE.test(text)) throw new Error('docs/RECONCILIATION.md has no place for the table')
writeFileSync(
  document,
  text.replace(PLACE, (_all, open: string, close: string) => `${open}\n\n${tableOf(figures)}\n\n${close}`),
)
console.log(`${figures.figures.length} comparisons in ${figures.seconds} s: see docs/RECONCILIATION.md`)
