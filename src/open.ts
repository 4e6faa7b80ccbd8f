import { toHex } from './base/bytes.ts'
import { PeerlogError } from './base/errors.ts'
import { SyncBroadcaster } from './broadcast/sync-broadcaster.ts'
import { Database } from './database.ts'
import type { Beginning } from './event/beginning.ts'
import { MAX_TIME } from './event/clock.ts'
import { deriveDatabaseKeys } from './event/keys.ts'
import { authorKeyPair } from './event/signature.ts'
import { EventStore } from './store/event-store.ts'
import { deriveTopic } from './topic/topic.ts'
import type { TransportConfig } from './transport/config.ts'
import { createTransport } from './transport/create-transport.ts'
import { combineTransports } from './transport/paths/paths-transport.ts'
import type { NoiseKeyPair, Transport } from './transport/transport.ts'

/** What only must say how to reach the others: a configuration, or a transport that the caller made and keeps. */
export type TransportChoice = (Partial<TransportConfig> & Pick<TransportConfig, 'mode'>) | Transport

export interface OpenOptions {
  /** Names what is replicated: all who open the same id (with the same secret) share it. */
  databaseId: string
  /** The SQLite file, created if it does not exist; or ':memory:'. */
  path: string
  /**
   * Seals the events, and keeps out everybody who does not have it: a passphrase, or 32 random bytes. It can't be
   * changed later.
   */
  secret?: string | Uint8Array
  /** One way to the others or several at once; default `{ mode: 'hyperswarm' }`. `{ mode: 'disabled' }`: local only. */
  transport?: TransportChoice | readonly TransportChoice[]
  /** `'process'` (default): an acknowledged append survives the end of the process; `'full'`: the loss of power too. */
  durability?: 'process' | 'full'
  /** 32 bytes that the author's keys are made from, instead of those in the key file beside the database. */
  authorSeed?: Uint8Array
  /**
   * Logs of which nothing is here yet begin in the middle, verified all the same: with their events since a time (a `Date`,
   * or milliseconds since 1970) and the one before, or with the last N events of each author. `db.missing()` tells what is
   * not here. Default: all logs are whole.
   */
  since?: Date | number | { last: number }
  /** Reads the file as it is: no append, no network, and another process may write to it meanwhile. */
  readOnly?: boolean
}

const OPTION_NAMES: readonly string[] = [
  'databaseId',
  'path',
  'secret',
  'transport',
  'durability',
  'authorSeed',
  'since',
  'readOnly',
] satisfies (keyof OpenOptions)[]

/**
 * Opens a database and begins to replicate it. It is usable at once: peers are found in the background.
 *
 * @throws TypeError or {PeerlogError} when an option, the file, its key or the secret is not usable; nothing has been
 * changed then, and nothing is left open.
 */
export async function open(options: OpenOptions): Promise<Database> {
  checkOptions(options)
  const { databaseId, path, secret, authorSeed, durability = 'process', readOnly = false } = options
  const beginning = checkSince(options.since)
  const topicOfId = deriveTopic(databaseId)
  const choices = transportChoices(options, readOnly)
  // Found wrong before anything is created.
  for (const choice of choices) if (!isTransport(choice)) createTransport(choice)
  const keys = await deriveDatabaseKeys(databaseId, secret)
  const topic = keys.topic === null ? topicOfId : deriveTopic(databaseId, keys.topic)
  const given = authorSeed === undefined ? {} : { authorSeed }
  const store = EventStore.open({ path, databaseId, keys, durability, readOnly, beginning, ...given })
  const keyPair: NoiseKeyPair = authorKeyPair(store.noiseSeed)
  const sync = new SyncBroadcaster()
  const { transport, owned } = combined(choices, keyPair, (source, error) => {
    const message = error instanceof Error ? error.message : String(error)
    sync.publish({ type: 'Problem', source, message })
  })
  const database = new Database(databaseId, path, toHex(keyPair.publicKey), store, sync, owned ? transport : null)
  if (readOnly) return database
  const datagrams = { key: keys.datagrams, peerId: toHex(keyPair.publicKey) }
  sync.replicate({ store, topic, admissionKey: keys.admission, transports: [transport], datagrams })
  // With nobody to ask there is nothing to wait for.
  if (store.ownLogMayLag && transport.name !== 'disabled') {
    store.gateAppends(sync.guardOwnLog(store.author, () => store.confirmOwnLog()))
  }
  return database
}

/** One transport over all ways, also over a single one: all peers of a database speak the same. */
function combined(
  choices: readonly TransportChoice[],
  keyPair: NoiseKeyPair,
  onProblem: (transport: string, error: unknown) => void,
): { transport: Transport; owned: boolean } {
  const children = choices.map((choice) =>
    isTransport(choice)
      ? { transport: choice, owned: false }
      : { transport: createTransport({ keyPair, ...choice }), owned: true },
  )
  const timeouts = choices.flatMap((choice) => (isTransport(choice) ? [] : (choice.timeoutMs ?? [])))
  const timeoutMs = timeouts.length === 0 ? {} : { timeoutMs: Math.max(...timeouts) }
  const transport = combineTransports(children, { ...timeoutMs, onProblem })
  return { transport, owned: !children.some((child) => child.transport === transport) }
}

function transportChoices({ transport }: OpenOptions, readOnly: boolean): readonly TransportChoice[] {
  if (readOnly) return []
  if (transport === undefined) return [{ mode: 'hyperswarm' }]
  const choices = (Array.isArray(transport) ? transport : [transport]) as readonly TransportChoice[]
  if (choices.length === 0) {
    throw new PeerlogError('INVALID_CONFIG', 'transport is an empty array', {
      hint: "For a local-only database write transport: { mode: 'disabled' }",
    })
  }
  return choices
}

/** Earlier times, in milliseconds, are taken for a number of events or of seconds: nobody's clock was there. */
const MIN_SINCE_MS = 1e11

function checkSince(since: OpenOptions['since']): Beginning | null {
  if (since === undefined) return null
  const refuse = (hint: string): never => {
    throw new PeerlogError('INVALID_CONFIG', `since is ${JSON.stringify(since)}`, { hint })
  }
  if (typeof since === 'object' && !(since instanceof Date)) {
    const { last } = since ?? {}
    if (Number.isSafeInteger(last) && last > 0) return { last }
    return refuse('Write { last: N } for the last N events of each author, with N at least 1')
  }
  const time = Number(since)
  if (!Number.isSafeInteger(time) || time > MAX_TIME) {
    return refuse('Give a Date, milliseconds since 1970, or { last: N } for the last N events of each author')
  }
  if (time >= MIN_SINCE_MS) return { time }
  return refuse('A number is milliseconds since 1970. For the last N events of each author write { last: N }')
}

function isTransport(choice: TransportChoice): choice is Transport {
  return typeof choice === 'object' && choice !== null && 'connect' in choice && typeof choice.connect === 'function'
}

function checkOptions(options: OpenOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError("open() takes an object: open({ databaseId: 'my-notes', path: 'notes.db' })")
  }
  const unknown = Object.keys(options).find((name) => !OPTION_NAMES.includes(name))
  if (unknown !== undefined) {
    throw new PeerlogError('INVALID_CONFIG', `open() has no option '${unknown}'`, {
      hint: `It has ${OPTION_NAMES.join(', ')}`,
    })
  }
  const { path, durability, authorSeed } = options
  if (typeof path !== 'string' || path === '') {
    throw new TypeError("path must be the name of a file, or ':memory:'")
  }
  if (durability !== undefined && durability !== 'process' && durability !== 'full') {
    throw new PeerlogError('INVALID_CONFIG', `durability is ${JSON.stringify(durability)}`, {
      hint: "Write 'process' or 'full'",
    })
  }
  if (authorSeed !== undefined && !(authorSeed instanceof Uint8Array && authorSeed.length === 32)) {
    throw new TypeError('authorSeed must be a Uint8Array of 32 bytes')
  }
}
