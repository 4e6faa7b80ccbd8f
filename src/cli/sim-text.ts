import type { SimRecord } from '../simulator/record.ts'
import type { Colors } from './colors.ts'
import { counted } from './format.ts'

const HASH_CHARS = 16

/** One run among many, on one line. */
export function runLine({ seed, verdict, totals, trace }: SimRecord, colors: Colors): string {
  const how = verdict.ok ? colors.green('ok    ') : colors.red('FAILED')
  const end = totals.convergedAfter === null ? 'never equal' : `equal after ${seconds(totals.convergedAfter)}`
  return `${how} seed ${seed}  ${counted(totals.events, 'event')}, ${counted(totals.crashes, 'crash')}, ${end}  ${colors.dim(trace.slice(0, HASH_CHARS))}`.replace(
    /crashs/,
    'crashes',
  )
}

/** A run as a person reads it. */
export function summaryText(record: SimRecord, colors: Colors): string {
  const { verdict, totals, duration, devices, parameters, trace, seed } = record
  const { packets, lost, duplicated, reordered } = totals
  const rows: [string, string][] = [
    [
      'seed',
      `${seed}   ${Object.entries(parameters)
        .map(([name, value]) => `${name} ${value}`)
        .join(', ')}`,
    ],
    ['verdict', verdict.ok ? colors.green('all hold the same, and nothing was lost') : colors.red(failureText(record))],
    ['virtual time', seconds(duration)],
    [
      'events',
      `${totals.events} written on ${counted(devices.filter(({ wrote }) => wrote > 0).length, 'device')}, ${totals.crashes} crashes`,
    ],
    [
      'equal',
      totals.convergedAfter === null
        ? 'never'
        : `${seconds(totals.convergedAfter)} after the last write, or once all was mended`,
    ],
    [
      'network',
      `${counted(packets, 'packet')}, ${counted(totals.bytes, 'byte')}; ${lost} lost, ${duplicated} doubled, ${reordered} overtaken`,
    ],
    [
      'cost',
      `${totals.bytesPerByte.toFixed(2)} bytes for each byte of an event that arrived; ${totals.redundancy.toFixed(3)} needless copies of each event`,
    ],
    ['trace', trace],
  ]
  return rows.map(([name, text]) => `${colors.dim(name.padEnd(13))} ${text}`).join('\n')
}

/** What failed first, and how much else did. */
export function failureText({ verdict }: SimRecord): string {
  const [first] = verdict.failures
  if (first === undefined) return ''
  const more = verdict.failures.length > 1 ? `, and ${verdict.failures.length - 1} more` : ''
  return `${first.check} at ${seconds(first.at)}: ${first.device ?? 'the world'} ${first.detail}${more}`
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
