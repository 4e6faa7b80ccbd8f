import type { ItemSet } from './item-set.ts'
import { GRANT_BYTES, JOB_STEP_ITEMS, MAX_JOBS, MAX_RECENT_PIECES, READ_AHEAD_BYTES } from './limits.ts'
import type { FilterMessage } from './messages.ts'
import type { Piece, PieceParts, Pieces } from './pieces.ts'
import { nameOf } from './pieces.ts'
import type { Place, Span } from './place.ts'
import { copiedSpan, spanKey } from './place.ts'

interface Job {
  readonly filter: FilterMessage
  /** Where to go on, and the last item that was looked at. */
  at: Place
  /** Items of ours that the filter has. */
  matches: number
}

/** What one peer is sent because its filters lack it. */
export class Answers {
  readonly #items: ItemSet
  readonly #pieces: Pieces
  /** By span, the oldest first: a newer filter of the same span takes the place of one before. */
  readonly #jobs = new Map<string, Job>()
  /** Names of what was sent lately, the oldest first, and when. */
  readonly #recent = new Map<string, number>()
  readonly #messages: Buffer[] = []
  /** Bytes of pieces that may be sent until the peer's next filter. */
  #granted = 0
  /** Spans of which the peer holds something that we lack. */
  readonly lacking: Span[] = []

  constructor(items: ItemSet, pieces: Pieces) {
    this.#items = items
    this.#pieces = pieces
  }

  get isIdle(): boolean {
    return this.#messages.length === 0 && (this.#jobs.size === 0 || this.#granted <= 0)
  }

  /** The peer has told by a filter what it has in a span. */
  add(message: FilterMessage): void {
    const { filter } = message
    const span = copiedSpan(message)
    const key = spanKey(span)
    this.#granted = GRANT_BYTES
    this.#jobs.delete(key)
    if (this.#jobs.size >= MAX_JOBS) return
    this.#jobs.set(key, { filter: { ...message, ...span, filter }, at: span.from, matches: 0 })
  }

  /** New events that the peer is sent without having asked. */
  push(pieces: readonly Piece[], now: number): void {
    const small = pieces.filter((piece) => this.#pieces.parts(piece) === null)
    for (const { id } of small) this.#sent(id, now)
    this.#messages.push(...this.#pieces.pack(small))
  }

  /** The next message, or null if there is none for now. */
  next(rtt: number, now: number): Buffer | null {
    while (this.#messages.length === 0 && this.#granted > 0) {
      const [entry] = this.#jobs
      if (entry === undefined) return null
      const [key, job] = entry
      if (this.#step(job, rtt, now)) {
        this.#jobs.delete(key)
        // By their number: those that it has besides ours.
        if (job.filter.items > job.matches) this.lacking.push(job.filter)
      }
    }
    const message = this.#messages.shift() ?? null
    this.#granted -= message?.length ?? 0
    return message
  }

  /** Looks for what a filter lacks, a stretch at a time. True at the end of its span. */
  #step(job: Job, rtt: number, now: number): boolean {
    const items = this.#items
    const end = items.rank(job.filter.to)
    let rank = items.rank(job.at)
    let bytes = 0
    const whole: Piece[] = []
    let isDone = true
    for (let steps = 0; rank < end; steps++, rank++) {
      if (steps === JOB_STEP_ITEMS || bytes >= READ_AHEAD_BYTES) {
        isDone = false
        break
      }
      const item = items.at(rank)
      if (job.filter.filter.has(item.id)) {
        job.matches++
        continue
      }
      if (this.#wasSent(item.id, rtt, now)) continue
      const piece = this.#read(item.time, Buffer.from(item.id))
      if (piece === null) continue
      const parts = this.#pieces.parts(piece)
      if (parts === null) {
        whole.push(piece)
        bytes += piece.bytes.length
        this.#sent(piece.id, now)
        continue
      }
      bytes += this.#sendParts(job, piece, parts, READ_AHEAD_BYTES - bytes, rtt, now)
      // More of it may be missing: it is looked at again.
      if (bytes >= READ_AHEAD_BYTES) {
        isDone = false
        break
      }
    }
    this.#messages.push(...this.#pieces.pack(whole))
    if (!isDone) {
      const next = items.at(rank)
      job.at = { time: next.time, prefix: Buffer.from(next.id) }
    }
    return isDone
  }

  #sendParts({ filter }: Job, piece: Piece, parts: PieceParts, room: number, rtt: number, now: number): number {
    let bytes = 0
    for (let index = 0; index < parts.count && bytes < room; index++) {
      const name = nameOf(piece, parts, index)
      if (filter.filter.has(name) || this.#wasSent(name, rtt, now)) continue
      const message = this.#pieces.part(piece, parts, index)
      if (message === null) break
      this.#messages.push(message)
      this.#sent(name, now)
      bytes += message.length
    }
    return bytes
  }

  #read(time: number, id: Buffer): Piece | null {
    const author = this.#items.forkedAuthor(id)
    return author === undefined ? this.#pieces.event(time, id) : this.#pieces.proof(author, id)
  }

  #sent(name: Buffer, now: number): void {
    const key = name.toString('latin1')
    this.#recent.delete(key)
    this.#recent.set(key, now)
    if (this.#recent.size > MAX_RECENT_PIECES) this.#recent.delete(this.#recent.keys().next().value as string)
  }

  #wasSent(name: Buffer, rtt: number, now: number): boolean {
    const at = this.#recent.get(name.toString('latin1'))
    return at !== undefined && now - at < 2 * rtt
  }
}
