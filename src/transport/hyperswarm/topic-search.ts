import type Hyperswarm from 'hyperswarm'

/** While nobody is found. Two peers that join at once miss each other's records: only asking again finds them. */
const SEARCH_MS = 500
/** After a minute of nobody: whoever comes now looks for us too. */
const LONELY_AFTER_MS = 60_000
const LONELY_SEARCH_MS = 5000
/** While connected, for peers that came later; doubled each time. */
const CONNECTED_MIN_MS = 1000
const CONNECTED_MAX_MS = 60_000

/** Keeps one topic announced and looked up in the DHT, as often as its situation calls for. */
export class TopicSearch {
  readonly #discovery: Hyperswarm.Discovery
  readonly #flags = { client: false, server: false }
  #changes = 0
  #timer: NodeJS.Timeout | null = null
  #connected = false
  #since: number = Date.now()
  #connectedMs = CONNECTED_MIN_MS
  #searched = false
  #paused = false
  #stopped: Promise<void> | null = null
  readonly #isAnswered: () => boolean

  /** `isAnswered` says whether any DHT node answers: a search that asked nobody succeeds too. */
  constructor(
    swarm: Hyperswarm,
    topic: Uint8Array,
    flags: { client: boolean; server: boolean },
    isAnswered: () => boolean,
  ) {
    this.#flags = flags
    this.#isAnswered = isAnswered
    this.#discovery = swarm.join(topic, { ...flags, onerror: () => {} })
    this.#schedule()
  }

  /** Resolves when the DHT has been asked or told; false if it did not answer. */
  async update(flags: { client?: boolean; server?: boolean } = {}): Promise<boolean> {
    if (this.#stopped !== null) return false
    Object.assign(this.#flags, flags)
    this.#changes++
    this.#since = Date.now()
    this.#schedule()
    for (;;) {
      const changes = this.#changes
      // Where nothing changed this joins the refresh under way; one that was overtaken resolves too early.
      const done = await this.#refresh()
      if (this.#stopped !== null || changes === this.#changes) return done
    }
  }

  /** Whether the topic has a connection now: then there is no hurry. */
  setConnected(connected: boolean): void {
    if (connected === this.#connected) return
    this.#connected = connected
    this.#connectedMs = CONNECTED_MIN_MS
    this.#since = Date.now()
    this.#schedule()
  }

  /** Whether the DHT has been asked for the topic's peers and has answered, since the start or the last `again`. */
  get searched(): boolean {
    return this.#searched
  }

  /** Searches at once and as often as at first: where we are has changed. */
  again(): void {
    this.#searched = false
    void this.update()
  }

  pause(): void {
    this.#paused = true
    this.#schedule()
  }

  resume(): void {
    this.#paused = false
    this.again()
  }

  stop(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#stopped ??= this.#discovery.destroy().catch(() => {})
    return this.#stopped
  }

  async #refresh(): Promise<boolean> {
    const isLookup = this.#flags.client
    try {
      const done = (await this.#discovery.refresh(this.#flags)) === true
      if (done && isLookup && this.#isAnswered()) this.#searched = true
      return done
    } catch {
      return false
    }
  }

  #schedule(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#stopped !== null || this.#paused || !this.#flags.client) return
    this.#timer = setTimeout(() => void this.#search(), this.#nextMs())
  }

  async #search(): Promise<void> {
    const timer = this.#timer
    await this.#refresh()
    if (this.#timer === timer) this.#schedule()
  }

  #nextMs(): number {
    if (!this.#connected) return Date.now() - this.#since > LONELY_AFTER_MS ? LONELY_SEARCH_MS : SEARCH_MS
    const ms = this.#connectedMs
    this.#connectedMs = Math.min(CONNECTED_MAX_MS, ms * 2)
    return ms
  }
}
