/** How values are written: as text in flags, variables and defaults, as text or JSON's own types in the file. */
import { BlockList, isIP } from 'node:net'
import { MIN_TOKEN_SECRET_BYTES } from '../limits.ts'
import type { Declaration } from './options.ts'

/** What each kind becomes. */
export interface KindValues {
  whole: number
  bytes: number
  /** Milliseconds. */
  duration: number
  text: string
  file: string
  switch: boolean
  choice: string
  list: string[]
}

/** A value that cannot be used. Its message says what to write, and follows `… is "value": `. */
export class Mistake extends Error {}

const BYTE_UNITS: Record<string, number> = { '': 1, b: 1, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3 }
const TIME_UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** @throws {Mistake} */
export function parseValue(declaration: Declaration, value: unknown): KindValues[keyof KindValues] | undefined {
  if (declaration.off === true && value === 'off') return undefined
  switch (declaration.kind) {
    case 'whole':
      return within(declaration, amount(value, { '': 1 }), wantedNumber(declaration))
    case 'bytes':
      return within(declaration, amount(value, BYTE_UNITS), wantedNumber(declaration))
    case 'duration':
      return within(declaration, duration(value), wantedNumber(declaration))
    case 'text':
    case 'file':
      if (typeof value === 'string' && value.trim() !== '') return value
      throw new Mistake(declaration.kind === 'file' ? 'write the path of a file' : 'write some text')
    case 'switch':
      if (value === true || value === 'true' || value === '1') return true
      if (value === false || value === 'false' || value === '0') return false
      throw new Mistake('write true or false')
    case 'choice':
      if (typeof value === 'string' && declaration.choices?.includes(value) === true) return value
      throw new Mistake(`write one of ${declaration.choices?.join(', ')}`)
    case 'list':
      return list(value).map((item) => checkItem(declaration, item))
  }
}

/** `30d` in milliseconds. @throws {Mistake} */
export function duration(value: unknown): number | undefined {
  return amount(value, TIME_UNITS)
}

/** As a user could have written it. */
export function showValue(declaration: Declaration, value: KindValues[keyof KindValues] | undefined): string {
  if (value === undefined) return declaration.off === true ? 'off' : ''
  if (declaration.secret === true) return '(secret)'
  if (declaration.of === 'nats-url') return maskCredentials(String(value))
  if (declaration.kind === 'duration') return showDuration(value as number)
  if (declaration.kind === 'bytes') return showBytes(value as number)
  return String(value)
}

/** `nats://user:password@host` → `nats://(secret)@host`. */
export function maskCredentials(text: string): string {
  return text.replaceAll(/(:\/\/)[^@/,]*@/g, '$1(secret)@')
}

function amount(value: unknown, units: Record<string, number>): number | undefined {
  const text = typeof value === 'number' ? String(value) : value
  const match = typeof text === 'string' ? /^(\d{1,15})\s*([a-z]*)$/i.exec(text.trim()) : null
  const unit = units[match?.[2]?.toLowerCase() ?? '?']
  return match === null || unit === undefined ? undefined : Number(match[1]) * unit
}

function within(declaration: Declaration, value: number | undefined, wanted: string): number {
  const { least = 0, most = Number.MAX_SAFE_INTEGER } = declaration
  if (value !== undefined && value >= least && value <= most) return value
  throw new Mistake(wanted)
}

function wantedNumber({ kind, least = 0, most = 0, off }: Declaration): string {
  const show = kind === 'duration' ? showDuration : kind === 'bytes' ? showBytes : String
  const noun =
    kind === 'duration'
      ? 'a time with its unit (ms, s, m, h, d)'
      : kind === 'bytes'
        ? 'bytes (64KiB, 2MiB)'
        : 'a whole number'
  return `write ${noun} from ${show(least)} to ${show(most)}${off === true ? ', or off' : ''}`
}

function showDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's']) {
    const size = TIME_UNITS[unit] as number
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`
  }
  return `${ms}ms`
}

function showBytes(bytes: number): string {
  for (const unit of ['GiB', 'MiB', 'KiB']) {
    const size = BYTE_UNITS[unit.toLowerCase()] as number
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`
  }
  return String(bytes)
}

function list(value: unknown): string[] {
  const parts = typeof value === 'string' ? value.split(',') : value
  if (!Array.isArray(parts) || !parts.every((part) => typeof part === 'string')) {
    throw new Mistake('write one or several with commas between (an array of strings in the file)')
  }
  const items = parts.map((part) => part.trim()).filter((part) => part !== '')
  if (items.length === 0) throw new Mistake('write at least one, or leave the option out')
  return items
}

function checkItem({ of }: Declaration, item: string): string {
  switch (of) {
    case 'network':
      parseNetwork(new BlockList(), item)
      return item
    case 'secret':
      if (Buffer.byteLength(item) >= MIN_TOKEN_SECRET_BYTES) return item
      throw new Mistake(`a secret needs ${MIN_TOKEN_SECRET_BYTES} bytes or more: openssl rand -base64 48 makes one`)
    case 'origin':
      if (URL.canParse(item) && new URL(item).origin === item) return item
      throw new Mistake(`"${item}" is not an origin: write it as https://app.example.org, without a path`)
    case 'nats-url':
      if (/^(?:nats|tls):\/\/[^\s/]+$/.test(item)) return item
      throw new Mistake('write URLs such as nats://127.0.0.1:4222')
    default:
      return item
  }
}

/** Adds an address or CIDR to a list. @throws {Mistake} */
export function parseNetwork(networks: BlockList, text: string): void {
  const [address = '', prefix, ...rest] = text.split('/')
  const version = isIP(address)
  const family = version === 6 ? 'ipv6' : 'ipv4'
  const bits = Number(prefix ?? (version === 6 ? 128 : 32))
  const fits = /^\d{1,3}$/.test(prefix ?? '0') && bits <= (version === 6 ? 128 : 32)
  if (version === 0 || rest.length > 0 || !fits) {
    throw new Mistake(`"${text}" is no address: write 10.0.0.7, 10.0.0.0/8 or fd00::/8`)
  }
  networks.addSubnet(address, bits, family)
}
