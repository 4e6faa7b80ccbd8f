import type NoiseSecretStream from '@hyperswarm/secret-stream'
import type HyperDHT from 'hyperdht'
import { toHex } from '../../base/bytes.ts'

/** Peers whose dials are remembered; beyond it the one that was dialled first is forgotten. */
const MAX_REMEMBERED_DIALS = 1024
/** Milliseconds that the outcome of a dial says something: a peer that is still to be found is dialled again before. */
const MEMORY_MS = 180_000

/** Ends of a dial that say nothing about the way to the peer: it has dialled us at the same time, or we are going. */
const NO_FAILURES: readonly string[] = ['SUSPENDED', 'IO_SUSPENDED', 'REQUEST_DESTROYED', 'Duplicate connection']

export type DialOutcome = 'dialling' | 'not-found' | 'failed'

/** What has become of the peers that Hyperswarm dials. */
export class Dials {
  readonly #outcomes: Map<string, { outcome: DialOutcome; at: number }> = new Map()

  /** Hyperswarm tells nobody of dials that fail: so it is watched as it makes them. */
  watch(dht: HyperDHT): void {
    const connect = dht.connect.bind(dht)
    dht.connect = (publicKey, options) => {
      const stream = connect(publicKey, options)
      this.#onDial(toHex(publicKey), stream)
      return stream
    }
  }

  /** What is known of the peer, if it was dialled lately. */
  outcomeOf(peerId: string): DialOutcome | undefined {
    const known = this.#outcomes.get(peerId)
    return known === undefined || performance.now() - known.at > MEMORY_MS ? undefined : known.outcome
  }

  /** The peer has come to us. */
  forget(peerId: string): void {
    this.#outcomes.delete(peerId)
  }

  /** What failed may succeed now. */
  clear(): void {
    this.#outcomes.clear()
  }

  #onDial(peerId: string, stream: NoiseSecretStream): void {
    let opened = false
    // One that has failed is known to fail until it does not.
    this.#note(peerId, this.outcomeOf(peerId) ?? 'dialling')
    stream.on('open', () => {
      opened = true
      this.forget(peerId)
    })
    stream.on('error', ({ code, message }: Error & { code?: string }) => {
      if (opened || NO_FAILURES.includes(code ?? message)) return
      this.#note(peerId, code === 'PEER_NOT_FOUND' ? 'not-found' : 'failed')
    })
  }

  #note(peerId: string, outcome: DialOutcome): void {
    this.#outcomes.delete(peerId)
    this.#outcomes.set(peerId, { outcome, at: performance.now() })
    const [oldest] = this.#outcomes.keys()
    if (this.#outcomes.size > MAX_REMEMBERED_DIALS && oldest !== undefined) this.#outcomes.delete(oldest)
  }
}
