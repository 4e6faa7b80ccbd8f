/** One peer of the demo, in a process of its own: writes its share of the text, and replicates all of it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Database, open } from 'peerlog'
import type { Line, State, Task } from './messages.ts'
import { textLines } from './text.ts'

/** The share is written bit by bit, so that there is something to watch. */
const BATCH_LINES = 6
const PAUSE_MS = 50
const REPORT_MS = 100

const task = JSON.parse(process.argv[2] ?? '') as Task
const share: Line[] = textLines()
  .map((text, number) => ({ number, text }))
  .filter(({ number }) => number % task.step === task.first)

// The terminal sends Ctrl-C to all of us; the parent decides. Without the parent there is nothing to do here.
process.on('SIGINT', () => {})
process.on('disconnect', () => process.exit())

const { databaseId, secret, path, transport } = task
const db = await open({ databaseId, secret, path, transport })

let reported = ''
const reporting = setInterval(report, REPORT_MS)
process.on('message', () => void leave())
await write(db)

/** Our own log knows how far we got, even if we were killed in the middle. */
function written(): number {
  return db.frontier().get(db.author) ?? 0
}

async function write(db: Database): Promise<void> {
  while (!db.closed && written() < share.length) {
    const next = share.slice(written(), written() + BATCH_LINES)
    await db.appendMany(next.map((line) => ({ subject: `text/${task.name}`, data: line })))
    await sleep(PAUSE_MS)
  }
}

function report(): void {
  const state: State = {
    events: db.position,
    written: written(),
    share: share.length,
    peers: db.sync.peers(),
    root: db.frontierRoot(),
  }
  const text = JSON.stringify(state)
  if (text !== reported) process.send?.(state)
  reported = text
}

async function leave(): Promise<void> {
  clearInterval(reporting)
  await db.close()
  process.disconnect()
}
