import { readFileSync } from 'node:fs'

/** Bytes are lower-case hexadecimal throughout. */
export type Hex = string

export interface TopicVector {
  databaseId: string
  key: Hex | null
  topic: Hex
}

export interface KeysVector {
  databaseId: string
  /** At most one of the two. */
  passphrase?: string
  secret?: Hex
  tag: Hex
  topicKey: Hex | null
  admission: Hex
  datagrams: Hex
  seal: Hex | null
  topic: Hex
}

export interface LinkVector {
  author: Hex
  seq: number
  time: number
  tick: number
}

export interface EventVector {
  name: string
  author: Hex
  seq: number
  sealKey: Hex | null
  nonce: Hex | null
  body: {
    time: number
    tick: number
    format: 'json' | 'bytes'
    subject: string
    type: string
    links: LinkVector[]
    data: Hex
  }
  bytes: Hex
  id: Hex
}

export interface RefusedEventVector {
  name: string
  sealKey: Hex | null
  bytes: Hex
  fault: string
}

export interface EventVectors {
  events: EventVector[]
  refused: RefusedEventVector[]
}

export interface HeadVector {
  length: number
  peaks: Hex
  root: Hex
  signature: Hex
}

export interface RunVector {
  name: string
  from: number
  count: number
  peaks: Hex | null
  bytes: Hex
}

export interface LogVectors {
  databaseTag: Hex
  authorSeed: Hex
  author: Hex
  events: Hex[]
  ids: Hex[]
  heads: HeadVector[]
  runs: RunVector[]
}

export interface PathFrameVector {
  name: string
  frame: string
  /** Those that the frame has. */
  fields: {
    version?: number
    incarnation?: Hex
    count?: number
    id?: Hex
    received?: number
    number?: number
    message?: Hex
    /** The message is this many bytes of zero. */
    zeros?: number
    reason?: string
  }
  /** The first 32 bytes where there are more than 1000; `hash` is H of all. */
  bytes: Hex
  hash: Hex
}

export interface PathVectors {
  frames: PathFrameVector[]
  refused: { name: string; bytes: Hex }[]
  /** What is derived from the handshake hash of the path of BEGIN. */
  connections: { pathHash: Hex; id: Hex; handshakeHash: Hex }[]
}

function read(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`${name}.json`, import.meta.url), 'utf8'))
}

export const readTopics = (): TopicVector[] => read('topics') as TopicVector[]
export const readKeys = (): KeysVector[] => read('keys') as KeysVector[]
export const readEvents = (): EventVectors => read('events') as EventVectors
export const readPaths = (): PathVectors => read('paths') as PathVectors
export const readLogs = (): LogVectors => read('logs') as LogVectors
