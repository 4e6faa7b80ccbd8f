import type { Event, PathReason } from '../index.ts'
import type { Colors } from './colors.ts'
import { printable, printableJson } from './printable.ts'

const SHORT_ID_LENGTH = 8

/** The beginning of an id, an author or a peer: enough to tell them apart by eye. */
export function short(id: string): string {
  return id.slice(0, SHORT_ID_LENGTH)
}

/** Local date and time, to the second. */
export function localTime(ms: number): string {
  const date = new Date(ms)
  const two = (value: number): string => String(value).padStart(2, '0')
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-')
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`
}

/** `1 peer`, `2 peers`, `3 000 peers`. */
export function counted(count: number, noun: string): string {
  const digits = String(count).replace(/\B(?=(\d{3})+$)/g, ' ')
  return `${digits} ${noun}${count === 1 ? '' : 's'}`
}

/** An event as a person reads it, on one line. */
export function eventLine({ timestamp, author, local, subject, type, data }: Event, colors: Colors): string {
  const who = local ? 'you' : short(author)
  const parts = [
    colors.dim(localTime(timestamp)),
    local ? colors.dim(who.padEnd(SHORT_ID_LENGTH)) : authorColor(author, colors)(who),
    colors.cyan(printable(subject)),
    ...(type === undefined ? [] : [colors.magenta(`[${printable(type)}]`)]),
    payloadText(data, colors),
  ]
  return parts.join('  ')
}

function payloadText(data: unknown, colors: Colors): string {
  if (typeof data === 'string') return printable(data)
  if (data instanceof Uint8Array) return colors.dim(`(${counted(data.length, 'byte')})`)
  return colors.yellow(printableJson(data))
}

function authorColor(author: string, colors: Colors): (text: string) => string {
  const palette = [colors.green, colors.blue, colors.yellow, colors.red, colors.magenta, colors.white]
  return palette[Number.parseInt(author.slice(0, 4), 16) % palette.length] ?? colors.green
}

/** An event as a program reads it. Bytes are in base64, and `encoding` says so. */
export function eventJson({ id, author, seq, position, timestamp, subject, type, data, local }: Event): string {
  const bytes = data instanceof Uint8Array
  return printableJson({
    id,
    author,
    source: author,
    seq,
    position,
    ts: timestamp,
    subject,
    ...(type === undefined ? {} : { type }),
    payload: bytes ? Buffer.from(data).toString('base64') : data,
    ...(bytes ? { encoding: 'base64' } : {}),
    local,
  })
}

/** Why messages go the way they do, in a few words: `relay (UDP is blocked)`. */
export function way(transport: string, reason: PathReason | undefined): string {
  const why = reason === undefined ? '' : REASONS[reason]
  return why === '' ? transport : `${transport} (${why})`
}

const REASONS: Record<PathReason, string> = {
  direct: '',
  'relay-only': '',
  datagrams: '',
  'direct-lost': 'the direct way was lost',
  'udp-blocked': 'UDP is blocked',
  'not-found': 'not found in the DHT',
  'holepunch-failed': 'no way through the NATs',
  pending: 'a direct way is being looked for',
}
