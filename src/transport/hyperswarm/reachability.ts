import type HyperDHT from 'hyperdht'

/** Milliseconds between two looks at what the DHT has been asked and has answered. */
const LOOK_MS = 250
/** Looks in a row, with questions out and no answer among them, after which UDP counts as blocked: 2.5 s. */
const SILENT_LOOKS = 10
/** Milliseconds between two questions that are asked only to learn that UDP is open again. */
const PROBE_MS = 1000

export interface ReachabilityOwner {
  /** DHT nodes answer again. */
  onOpen(): void
}

/** Whether any DHT node answers us over UDP. Looks at the DHT's own counters, so that it costs nothing while all is well. */
export class Reachability {
  readonly #dht: HyperDHT
  readonly #owner: ReachabilityOwner
  #timer: NodeJS.Timeout | null = null
  #answers = 0
  #questions = 0
  /** Looks since the first question that has had no answer. */
  #silentLooks = 0
  #blocked = false
  #answered = false
  #probedAt = -Infinity
  #probing = false

  constructor(dht: HyperDHT, owner: ReachabilityOwner) {
    this.#dht = dht
    this.#owner = owner
    this.resume()
  }

  /** True as long as questions are asked and none has been answered for a while. */
  get blocked(): boolean {
    this.#hear()
    return this.#blocked
  }

  /** Whether a node has answered since the start, or since none did for a while. */
  get answered(): boolean {
    this.#hear()
    return this.#answered
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** Begins anew: what was known may not be true any more. */
  resume(): void {
    this.stop()
    this.#blocked = false
    this.#answered = false
    this.#silentLooks = 0
    this.#answers = this.#dht.stats.requests.responses
    this.#questions = this.#asked
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
  }

  /** Queries count too: where names can't be resolved they lead to no request at all. */
  get #asked(): number {
    const { requests, queries } = this.#dht.stats
    return requests.total + requests.retries + queries.total
  }

  #look(): void {
    if (this.#hear()) return
    if (this.#asked === this.#questions) return
    this.#silentLooks++
    if (this.#silentLooks < SILENT_LOOKS) return
    this.#blocked = true
    this.#answered = false
    void this.#probe()
  }

  /** True if a node has answered since the last time. */
  #hear(): boolean {
    const { responses } = this.#dht.stats.requests
    if (responses === this.#answers) return false
    this.#answers = responses
    this.#answered = true
    this.#questions = this.#asked
    this.#silentLooks = 0
    if (this.#blocked) {
      this.#blocked = false
      this.#owner.onOpen()
    }
    return true
  }

  /** Searches may be rare by now, and give up after a while: something must go on asking. */
  async #probe(): Promise<void> {
    const now = performance.now()
    if (this.#probing || now - this.#probedAt < PROBE_MS || this.#dht.destroyed) return
    this.#probedAt = now
    this.#probing = true
    await this.#dht
      .findNode(this.#dht.defaultKeyPair.publicKey)
      .finished()
      .catch(() => {})
    this.#probing = false
  }
}
