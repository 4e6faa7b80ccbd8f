import { PeerlogError } from '../../base/errors.ts'

/**
 * Which messages something happens to: each with this chance (0 to 1); or with a chance and so many times in all; or
 * those with these numbers, counted from 0 in each direction of each connection.
 */
export type When = number | { chance: number; times: number } | readonly number[]

/**
 * What a broken transport or peer could hand over: `'byte'` and `'largest'`, a message of one random byte or of
 * `MAX_MESSAGE_BYTES` before the one whose turn it is; `'empty'` and `'oversize'`, one that a transport must refuse to
 * send; `'flip'`, the message itself with one bit changed.
 */
export type Injection = 'byte' | 'largest' | 'empty' | 'oversize' | 'flip'

/** What goes wrong between the peers of a faulty transport. Everything is off unless it is set. */
export interface Faults {
  /** Whose messages it happens to: those that this peer sends, those that it receives, or (the default) both. */
  direction: 'both' | 'send' | 'receive'
  /** Milliseconds that every message takes, and how many more at most, by chance. The order is kept. */
  delayMs: number
  jitterMs: number
  /** Bytes per second, in each direction of each connection; default Infinity. */
  bytesPerSecond: number
  /** The connection is lost: this message and whatever comes after it never arrive, and both sides learn it. */
  lose: When
  /** From this message on nothing arrives, and nothing is said: sending goes on. One direction of a half-open connection. */
  vanish: When
  /** For `stallMs` nothing moves, then it goes on: what is sent does not resolve, what was sent is not delivered. */
  stall: When
  stallMs: number
  /** From this message on nothing is taken from the connection: a reader that never reads. Nothing is lost. */
  deaf: When
  /** Something is handed over that nobody sent: one of `injections`, by chance; default all of them. */
  inject: When
  injections: readonly Injection[]
  /** So many of the next connections are lost as soon as they have come about. */
  storm: number
  /** So many of the next connections are delivered twice. */
  twice: number
  /** Single messages are left out, come twice, or after the next one: only with `datagrams: true`. */
  drop: When
  duplicate: When
  reorder: When
}

/** What is counted, see `FaultyTransport.counts`. */
export type FaultKind = MessageFault | 'storm' | 'twice' | 'cut'

/** What happens to single messages. */
export type MessageFault = (typeof MESSAGE_FAULTS)[number]

/** In the order in which the dice are thrown for a message. */
export const MESSAGE_FAULTS = ['lose', 'vanish', 'stall', 'deaf', 'inject', 'drop', 'duplicate', 'reorder'] as const

const DATAGRAM_FAULTS: readonly string[] = ['drop', 'duplicate', 'reorder']
const INJECTIONS: readonly Injection[] = ['byte', 'largest', 'empty', 'oversize', 'flip']

export const NO_FAULTS: Readonly<Faults> = {
  direction: 'both',
  delayMs: 0,
  jitterMs: 0,
  bytesPerSecond: Infinity,
  lose: 0,
  vanish: 0,
  stall: 0,
  stallMs: 100,
  deaf: 0,
  inject: 0,
  injections: INJECTIONS,
  storm: 0,
  twice: 0,
  drop: 0,
  duplicate: 0,
  reorder: 0,
}

/**
 * The faults with some of them changed.
 * @throws {PeerlogError} `INVALID_ARGUMENT` for one that does not exist or has no usable value, or that only a
 * transport of datagrams may have.
 */
export function changeFaults(faults: Readonly<Faults>, changes: Partial<Faults>, datagrams: boolean): Faults {
  for (const [name, value] of Object.entries(changes)) {
    if (!(name in NO_FAULTS)) {
      throw unusable(`There is no fault '${name}'`, `There are ${Object.keys(NO_FAULTS).join(', ')}`)
    }
    const wanted = problemOf(name as keyof Faults, value)
    if (wanted !== null) throw unusable(`The fault '${name}' is ${JSON.stringify(value)}`, wanted)
    if (!datagrams && DATAGRAM_FAULTS.includes(name) && value !== 0) {
      throw unusable(
        `'${name}' would break what a connection promises: whole messages, each once, in order`,
        'Use `lose`, which ends the connection; or, for a transport whose messages are datagrams, pass datagrams: true',
      )
    }
  }
  return { ...faults, ...changes }
}

/** What should stand there instead, or null. */
function problemOf(name: keyof Faults, value: unknown): string | null {
  switch (name) {
    case 'direction':
      return value === 'both' || value === 'send' || value === 'receive' ? null : "Write 'both', 'send' or 'receive'"
    case 'injections': {
      const known = Array.isArray(value) && value.length > 0 && value.every((one) => INJECTIONS.includes(one as never))
      return known ? null : `Give some of ${INJECTIONS.join(', ')}`
    }
    case 'bytesPerSecond':
      return typeof value === 'number' && value > 0 ? null : 'Give a number above 0, or Infinity'
    case 'storm':
    case 'twice':
      return isCount(value) || value === Infinity ? null : 'Give a number of connections, or Infinity'
    case 'delayMs':
    case 'jitterMs':
    case 'stallMs':
      return typeof value === 'number' && value >= 0 && value < Infinity ? null : 'Give milliseconds'
    default:
      return isWhen(value) ? null : 'Give a chance from 0 to 1, { chance, times }, or the numbers of messages'
  }
}

function isWhen(value: unknown): value is When {
  if (Array.isArray(value)) return value.every(isCount)
  if (typeof value === 'number') return isChance(value)
  const { chance, times } = (value ?? {}) as { chance?: unknown; times?: unknown }
  return isChance(chance) && isCount(times)
}

function isChance(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= 1
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function unusable(message: string, hint: string): PeerlogError {
  return new PeerlogError('INVALID_ARGUMENT', message, { hint })
}
