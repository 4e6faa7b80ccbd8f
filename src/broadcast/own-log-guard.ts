import { RECOVERY_MORE_PEERS_MS, RECOVERY_WAIT_MS, STALL_TIMEOUT_MS } from '../base/limits.ts'

/** A peer that may hold more of our own log than we do: a session, or a peer over datagrams. */
export interface Witness {
  /** True once it has proved that it knows the database. */
  readonly admitted: boolean
  /** What it has told of a log, and whether it owes us some of it; null before the two replicas are compared. */
  account(author: string): { length: number; owes: boolean } | null
}

export interface OwnLogWatch {
  /** Hex of our own author. */
  author: string
  /** Length of our own log; infinity if it is forked, and can lack nothing any more. */
  length(): number
  witnesses(): Iterable<Witness>
  /** Called once: null if peers hold no more of our log than we do, else why appends go on without knowing that. */
  settled(doubt: string | null): void
}

/** What the peers say at this moment. */
interface Survey {
  /** Peers that have proved that they know the database. */
  admitted: number
  /** Those of them whose frontier has not been compared with ours yet. */
  comparing: number
  /** Events of our own log are missing here, or it is being found out whether somebody has forked it. */
  missing: boolean
}

/**
 * Holds appends back while our file may be an older copy of itself, until what peers hold of our own log is here: events
 * appended before that would contradict it. It looks whenever a peer has got on, and waits for a bounded time.
 */
export class OwnLogGuard {
  readonly #watch: OwnLogWatch
  readonly #startedAt: number = performance.now()
  #length: number
  /** When our own log last grew, or there was otherwise news of it. */
  #progressAt: number = this.#startedAt
  #admittedAt = Infinity
  #comparedAt = Infinity
  /** The largest length of our log that a peer has told. */
  #announced = 0
  /** Waiting appends, and when they came. */
  #waiting: { since: number; resolve: () => void } | null = null
  #timer: NodeJS.Timeout | undefined
  #isOver = false

  constructor(watch: OwnLogWatch) {
    this.#watch = watch
    this.#length = watch.length()
  }

  /** The first append wants to be stored: null if it may, else it may once the promise resolves. */
  enter(): Promise<void> | null {
    if (this.#isOver) return null
    return new Promise((resolve) => {
      this.#waiting = { since: performance.now(), resolve }
      this.look()
    })
  }

  /** A peer has got on, or has gone. */
  look(): void {
    if (this.#isOver) return
    const now = performance.now()
    const survey = this.#survey(now)
    const { admitted, comparing, missing } = survey
    if (Number.isFinite(this.#comparedAt) && !missing) {
      // Those who are there at the same time have a little longer to come in and to tell what they hold.
      const until = this.#comparedAt + (comparing > 0 ? RECOVERY_WAIT_MS : RECOVERY_MORE_PEERS_MS)
      if (now >= until) return this.#end(null)
      return this.#arm(until - now)
    }
    if (this.#waiting === null) return
    const until = this.#deadline(survey, this.#waiting.since)
    if (now < until) return this.#arm(until - now)
    this.#end(
      missing
        ? 'peers have told of more events of our own log than are here, but did not hand them over: appending without them'
        : `${admitted > 0 ? 'no peer has said what it holds' : 'no peer was met'}: appending without knowing whether this file is an older copy of itself`,
    )
  }

  #survey(now: number): Survey {
    const survey: Survey = { admitted: 0, comparing: 0, missing: false }
    for (const witness of this.#watch.witnesses()) {
      if (!witness.admitted) continue
      survey.admitted++
      this.#admittedAt = Math.min(this.#admittedAt, now)
      const account = witness.account(this.#watch.author)
      if (account === null) {
        survey.comparing++
        continue
      }
      this.#comparedAt = Math.min(this.#comparedAt, now)
      survey.missing ||= account.owes
      if (account.length <= this.#announced) continue
      this.#announced = account.length
      this.#progressAt = now
    }
    const length = this.#watch.length()
    if (length > this.#length) this.#progressAt = now
    this.#length = length
    survey.missing ||= length < this.#announced
    return survey
  }

  #deadline({ admitted, missing }: Survey, since: number): number {
    if (missing) return Math.max(since, this.#progressAt) + (admitted > 0 ? STALL_TIMEOUT_MS : RECOVERY_WAIT_MS)
    if (admitted > 0) return this.#admittedAt + STALL_TIMEOUT_MS
    return this.#startedAt + RECOVERY_WAIT_MS
  }

  #arm(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.look(), Math.ceil(ms))
    if (this.#waiting === null) this.#timer.unref()
  }

  #end(doubt: string | null): void {
    this.close()
    this.#watch.settled(doubt)
  }

  /** Lets go of what waits. */
  close(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#waiting?.resolve()
  }
}
