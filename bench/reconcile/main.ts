/**
 * `npm run bench:reconcile` measures what each way of comparing two replicas costs, writes bench/reconcile.json, plots
 * into docs/reconciliation/, and the table of docs/RECONCILIATION.md. With --draw it only draws from the figures of an
 * earlier run; with --bloom it measures only Bloom filters anew.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { machineLine } from '../lib/measure.ts'
import { lossTableOf, plotsOf, tableOf } from './document.ts'
import type { Figures } from './figures.ts'
import { losses, measure, withBloom } from './measure.ts'
import { svgOf } from './plot.ts'

const PLACE = /(<!-- reconcile -->)[\s\S]*?(<!-- \/reconcile -->)/
const LOSSES = /(<!-- losses -->)[\s\S]*?(<!-- \/losses -->)/

const at = (...parts: string[]): string => path.join(import.meta.dirname, '../..', ...parts)
const file = at('bench/reconcile.json')

function measured(): Figures {
  const start = performance.now()
  const figures = measure()
  const lossy = losses()
  const seconds = Math.round((performance.now() - start) / 1000)
  return { machine: machineLine(), date: new Date().toISOString().slice(0, 10), seconds, figures, losses: lossy }
}

function known(): Figures {
  return JSON.parse(readFileSync(file, 'utf8')) as Figures
}

function read(): Figures {
  if (process.argv.includes('--draw')) return known()
  if (!process.argv.includes('--bloom')) return measured()
  return { ...known(), figures: withBloom(known().figures), losses: losses(), bloomApart: true }
}

const figures = read()
writeFileSync(file, `${JSON.stringify(figures, null, 2)}\n`)
for (const [name, plot] of Object.entries(plotsOf(figures))) {
  writeFileSync(at('docs/reconciliation', `${name}.svg`), svgOf(plot))
}
const document = at('docs/RECONCILIATION.md')
const text = readFileSync(document, 'utf8')
if (!PLACE.test(text)) throw new Error('docs/RECONCILIATION.md has no place for the table')
if (!LOSSES.test(text)) throw new Error('docs/RECONCILIATION.md has no place for the table of losses')
const withTable = text.replace(
  PLACE,
  (_all, open: string, close: string) => `${open}\n\n${tableOf(figures)}\n\n${close}`,
)
writeFileSync(
  document,
  withTable.replace(LOSSES, (_all, open: string, close: string) => `${open}\n\n${lossTableOf(figures)}\n\n${close}`),
)
console.log(`${figures.figures.length} comparisons in ${figures.seconds} s: see docs/RECONCILIATION.md`)
