import type { AddressInfo } from 'node:net'
import Sqlite from 'better-sqlite3'
import { WebSocket, WebSocketServer } from 'ws'
import * as Y from 'yjs'
import { childOptions, onMessage, tell } from '../lib/child.ts'
import { benchItem } from '../lib/events.ts'

/**
 * A Yjs document with one array of entries, whose updates are rows of a SQLite file: appends to it one by one, each
 * stored before the next; serves it; or gets it from another process, stored. State vector there, update back, as in
 * y-protocols.
 */
interface Options {
  path: string
  append?: number
  /** To get: where it is and how many entries it has. */
  port?: number
  expect?: number
}

const { path, append = 0, port, expect } = childOptions<Options>()
const db = new Sqlite(path)
db.pragma('journal_mode = WAL')
db.pragma('synchronous = NORMAL')
db.exec('CREATE TABLE updates (no INTEGER PRIMARY KEY, bytes BLOB NOT NULL)')
const insert = db.prepare('INSERT INTO updates (bytes) VALUES (?)')

const doc = new Y.Doc()
const entries = doc.getArray<object>('entries')
doc.on('update', (update) => void insert.run(update))

if (port === undefined) {
  const start = performance.now()
  for (let n = 0; n < append; n++) entries.push([benchItem(n)])
  tell({ type: 'appended', ms: performance.now() - start })
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  server.on('connection', (socket) => {
    socket.on('message', (vector: Buffer) => socket.send(Y.encodeStateAsUpdate(doc, new Uint8Array(vector))))
  })
  server.on('listening', () => tell({ type: 'ready', port: (server.address() as AddressInfo).port }))
} else {
  const start = performance.now()
  const socket = new WebSocket(`ws://127.0.0.1:${port}`)
  socket.on('open', () => socket.send(Y.encodeStateVector(doc)))
  socket.on('message', (update: Buffer) => {
    Y.applyUpdate(doc, new Uint8Array(update))
    if (entries.length === expect) tell({ type: 'complete', ms: performance.now() - start })
  })
}
onMessage('end', () => {
  db.close()
  process.exit(0)
})
