import type { PeerStatus, TransportChoice } from 'peerlog'

/** What a peer process is told, as its only argument, in JSON. */
export interface Task {
  name: string
  databaseId: string
  secret: string
  path: string
  transport: TransportChoice[]
  /** It writes the lines `first`, `first + step`, `first + 2 · step` … */
  first: number
  step: number
}

/** What a peer process tells, several times a second. */
export interface State {
  /** Events held, its own among them. */
  events: number
  written: number
  share: number
  peers: PeerStatus[]
  root: string
}

/** One line of the text, as an event's data. */
export interface Line {
  number: number
  text: string
}
