import type { AddressInfo } from 'node:net'
import { Repo } from '@automerge/automerge-repo'
import { WebSocketClientAdapter, WebSocketServerAdapter } from '@automerge/automerge-repo-network-websocket'
import { NodeFSStorageAdapter } from '@automerge/automerge-repo-storage-nodefs'
import { WebSocketServer } from 'ws'
import { childOptions, onMessage, tell } from '../lib/child.ts'
import { benchItem } from '../lib/events.ts'

/**
 * An automerge-repo whose only document is a list of entries: appends to it one by one, each saved before the next; serves
 * it; or gets it from another process, saved.
 */
interface Options {
  path: string
  append?: number
  /** To get: the document, where it is, and how many entries it has. */
  url?: string
  port?: number
  expect?: number
}

interface Entries {
  entries: { subject: string; data: object }[]
}

const { path, append = 0, url, port, expect } = childOptions<Options>()
const storage = new NodeFSStorageAdapter(path)

if (url === undefined) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  const repo = new Repo({ storage, network: [new WebSocketServerAdapter(server)] })
  const handle = repo.create<Entries>({ entries: [] })
  await repo.flush()
  const start = performance.now()
  for (let n = 0; n < append; n++) {
    handle.change((doc) => void doc.entries.push(benchItem(n)))
    await repo.flush([handle.documentId])
  }
  tell({ type: 'appended', ms: performance.now() - start })
  tell({ type: 'ready', url: handle.url, port: (server.address() as AddressInfo).port })
} else {
  const start = performance.now()
  const repo = new Repo({ storage, network: [new WebSocketClientAdapter(`ws://127.0.0.1:${port}`)] })
  const handle = await repo.find<Entries>(url)
  while (handle.doc().entries.length < (expect as number)) {
    await new Promise<void>((resolve) => handle.on('change', resolve))
  }
  await repo.flush()
  tell({ type: 'complete', ms: performance.now() - start })
}
onMessage('end', () => process.exit(0))
