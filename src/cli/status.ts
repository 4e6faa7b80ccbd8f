import type { Database } from '../index.ts'
import { counted, short, way } from './format.ts'
import type { Output } from './output.ts'
import { printable } from './printable.ts'

/** Milliseconds that catching up may take before it is worth a word, and between two words where no line can be redrawn. */
const LONG_CATCH_UP_MS = 400
const PROGRESS_LINE_MS = 2000
/** Milliseconds of nobody after which a person may wonder why. */
const LONELY_MS = 15_000
const REPEATED_PROBLEM_MS = 60_000

interface CatchUp {
  since: number
  toldAt: number
  told: boolean
}

/** Says on stderr who comes and goes, how far catching up is, and what goes wrong. Returns the way to stop it. */
export function watchStatus(db: Database, output: Output): () => void {
  const { sync } = db
  const { green, yellow, red, dim } = output.statusColors
  const catchUps = new Map<string, CatchUp>()
  const synced = new Set<string>()
  const problems = new Map<string, number>()
  let ended = false

  const lonely = setTimeout(() => {
    if (sync.peers().length > 0) return
    output.status(dim('nobody else yet: do they use the same key, secret and transport? Still looking …'))
  }, LONELY_MS)

  sync.on('PeerConnected', ({ peerId, transport, reason }) => {
    output.status(`${green('+')} ${short(peerId)} is here, over ${way(transport ?? 'some transport', reason)}`)
  })
  sync.on('PathChanged', ({ peerId, transport, reason }) => {
    output.status(dim(`~ ${short(peerId)} is now reached over ${way(transport, reason)}`))
  })
  sync.on('PeerDisconnected', ({ peerId, reason }) => {
    // It is we who leave.
    if (ended) return
    synced.delete(peerId)
    if (catchUps.delete(peerId)) output.progress('')
    const usual = reason === undefined || reason === 'closing' || reason === 'connection-lost'
    const why = usual ? '' : dim(` (${reason})`)
    output.status(`${yellow('-')} ${short(peerId)} is gone${why}`)
  })
  sync.on('PeerRefused', ({ peerId, reason, detail, byPeer }) => {
    const who = byPeer ? `${short(peerId)} turned us away` : `turned ${short(peerId)} away`
    output.warn(red(`${who}: ${detail === '' ? reason : `it ${printable(detail)}`}`))
  })
  sync.on('Unavailable', ({ peerId, logs }) => {
    output.status(dim(`${short(peerId)} holds only the end of ${counted(logs, 'log')}: others must give the beginning`))
  })
  sync.on('Progress', ({ peerId, received, remaining }) => {
    const now = Date.now()
    const catchUp = catchUps.get(peerId) ?? { since: now, toldAt: now, told: false }
    if (remaining === 0) return
    catchUps.set(peerId, catchUp)
    if (now - catchUp.since < LONG_CATCH_UP_MS) return
    const text = `receiving from ${short(peerId)}: ${counted(received, 'event')}, ${counted(remaining, 'more event')} to come`
    if (output.showsProgress) return output.progress(dim(text))
    if (catchUp.told && now - catchUp.toldAt < PROGRESS_LINE_MS) return
    Object.assign(catchUp, { told: true, toldAt: now })
    output.status(dim(text))
  })
  sync.on('InSync', ({ peerId }) => {
    if (catchUps.delete(peerId)) output.progress('')
    // Told once per connection: from then on every event makes it true anew.
    if (synced.has(peerId)) return
    synced.add(peerId)
    output.status(`${green('=')} in sync with ${short(peerId)}`)
  })
  sync.on('ForkDetected', ({ author }) => {
    output.warn(red(`${short(author)} has signed two contradicting histories; its log is frozen here`))
  })
  sync.on('Held', ({ author, until }) => {
    const text = `the clock of ${short(author)} is ahead; its newest events are held back until ${new Date(until).toISOString()}`
    output.warn(text)
  })
  sync.on('Problem', ({ source, message }) => {
    const text = printable(`${source}: ${message}`)
    const last = problems.get(text)
    if (last !== undefined && Date.now() - last < REPEATED_PROBLEM_MS) return
    problems.set(text, Date.now())
    output.warn(text)
  })
  return () => {
    clearTimeout(lonely)
    output.progress('')
    ended = true
  }
}
