import type { ItemIndex } from 'peerlog/reconcile'
import { BloomFilter } from 'peerlog/reconcile'
import type { Cost, Loss } from './figures.ts'
import type { Replicas } from './replicas.ts'
import { HEAD_BYTES } from './replicas.ts'

/** Bytes of a datagram, and what of it is left when it was sealed and addressed. */
const DATAGRAM_BYTES = 1232
const SEAL_BYTES = 49
const ROOM_BYTES = DATAGRAM_BYTES - SEAL_BYTES
/** What tells of a window: its end (timestamp 8, prefix of an id 8), the number of its items 2, their fingerprint 16. */
const DIGEST_BYTES = 34
const DIGESTS_PER_DATAGRAM = Math.floor(ROOM_BYTES / DIGEST_BYTES)
const HEADS_PER_DATAGRAM = Math.floor(ROOM_BYTES / HEAD_BYTES)
/** Salt 16 and number of hashes 1. */
const FILTER_OVERHEAD_BYTES = 17
/** Items of a window: twice as many still fit a filter, so that nothing need be cut when it fills up. */
const WINDOW_ITEMS = 448
const PREFIX_BYTES = 8
/** Round trips after which something is wrong. */
const MAX_ROUNDS = 1000

/** Prefixes of the ids that it begins with, and that it ends before; null for the last. */
interface Window {
  from: Buffer
  to: Buffer | null
  /** What the one that began knows: not yet whether the other differs, or the other's filter, or that it differs. */
  answer: BloomFilter | null
  differs: boolean
  /** The other knows that it differs, and tells its filter in every round, whether or not it was asked. */
  othersDiffers: boolean
}

type Random = () => number

/** Datagrams that are lost by chance. */
class Lossy {
  bytes = 0
  readonly #loss: number
  readonly #random: Random

  constructor(loss: number, random: Random) {
    this.#loss = loss
    this.#random = random
  }

  /** Whether one with so many bytes in it arrives. */
  send(bytes: number): boolean {
    this.bytes += bytes + SEAL_BYTES
    return this.#random() >= this.#loss
  }

  /** Those of many small things that arrive. */
  sendAll<T>(things: readonly T[], bytesEach: number, perDatagram: number): T[] {
    const arrived: T[] = []
    for (let at = 0; at < things.length; at += perDatagram) {
      const some = things.slice(at, at + perDatagram)
      if (this.send(some.length * bytesEach)) arrived.push(...some)
    }
    return arrived
  }
}

/** One replica, which forgets what it took when it is done. */
class Side {
  readonly #index: ItemIndex
  readonly #random: Random
  readonly #taken: Buffer[] = []

  constructor(index: ItemIndex, random: Random) {
    this.#index = index
    this.#random = random
  }

  windows(): Window[] {
    const count = Math.max(1, Math.ceil(this.#index.size / WINDOW_ITEMS))
    const starts = Array.from({ length: count }, (_, i) =>
      i === 0
        ? Buffer.alloc(PREFIX_BYTES)
        : Buffer.from(this.#index.id(Math.floor((i * this.#index.size) / count)).subarray(0, PREFIX_BYTES)),
    )
    return starts.map((from, i) => ({
      from,
      to: starts[i + 1] ?? null,
      answer: null,
      differs: false,
      othersDiffers: false,
    }))
  }

  digest(window: Window): string {
    const [from, to] = this.#placesOf(window)
    return `${to - from} ${this.#index.fingerprint(from, to).toString('latin1')}`
  }

  /** With a salt of its own, as it is sent. */
  filter(window: Window): Buffer {
    const [from, to] = this.#placesOf(window)
    const salt = Buffer.from(Array.from({ length: 16 }, () => Math.floor(this.#random() * 256)))
    const maxBytes = ROOM_BYTES - DIGEST_BYTES - FILTER_OVERHEAD_BYTES
    const filter = BloomFilter.create({ count: to - from, maxBytes }, salt)
    for (let place = from; place < to; place++) filter.add(this.#index.id(place))
    return filter.encode()
  }

  lackedBy(filter: BloomFilter, window: Window): Buffer[] {
    const [from, to] = this.#placesOf(window)
    const lacked: Buffer[] = []
    for (let place = from; place < to; place++) {
      const id = this.#index.id(place)
      if (!filter.has(id)) lacked.push(Buffer.from(id))
    }
    return lacked
  }

  take(ids: readonly Buffer[]): void {
    for (const id of ids) if (this.#index.insert(0, id)) this.#taken.push(id)
  }

  get whole(): string {
    return this.#index.fingerprint(0, this.#index.size).toString('hex')
  }

  forget(): void {
    for (const id of this.#taken) this.#index.delete(0, id)
  }

  #placesOf({ from, to }: Window): [number, number] {
    return [this.#index.lowerBound(0n, from), to === null ? this.#index.size : this.#index.lowerBound(0n, to)]
  }
}

function decoded(bytes: Buffer): BloomFilter {
  const filter = BloomFilter.decode(bytes)
  if (filter === null) throw new Error('not a filter')
  return filter
}

/**
 * Digests of windows; for those that differ filters in both directions, each answered with what it lacks, until the digests
 * that come with them are equal. Every datagram, whatever is in it, may be lost; a round is one there and one back.
 */
export function bloom({ indexes, logs, changed }: Replicas, loss: number, random: Random): Omit<Cost, 'memory'> {
  const [ours, theirs] = [new Side(indexes[0], random), new Side(indexes[1], random)]
  const way = new Lossy(loss, random)
  const start = performance.now()
  let open = ours.windows()
  let rounds = 0
  for (; open.length > 0; rounds++) {
    if (rounds === MAX_ROUNDS) throw new Error('the replicas do not become equal')
    const equal = new Set(round(open, ours, theirs, way))
    open = open.filter((window) => !equal.has(window))
  }
  const ms = performance.now() - start
  if (ours.whole !== theirs.whole || indexes[0].size !== logs + changed) throw new Error('the replicas differ')
  ours.forget()
  theirs.forget()
  return { bytes: way.bytes, rounds, ms }
}

/** The windows that are known to be equal afterwards. */
function round(open: readonly Window[], ours: Side, theirs: Side, way: Lossy): Window[] {
  const unknown = open.filter(({ differs }) => !differs)
  const asked: { window: Window; digest: string; filter: BloomFilter | null }[] = way
    .sendAll(unknown, DIGEST_BYTES, DIGESTS_PER_DATAGRAM)
    .map((window) => ({ window, digest: ours.digest(window), filter: null }))
  const lacked = open.flatMap((window) => {
    const { answer } = window
    window.answer = null
    return answer === null ? [] : ours.lackedBy(answer, window)
  })
  theirs.take(way.sendAll(lacked, HEAD_BYTES, HEADS_PER_DATAGRAM))
  for (const window of open.filter(({ differs }) => differs)) {
    const filter = ours.filter(window)
    if (way.send(filter.length + DIGEST_BYTES))
      asked.push({ window, digest: ours.digest(window), filter: decoded(filter) })
  }

  const same = asked.filter(({ window, digest }) => theirs.digest(window) === digest).map(({ window }) => window)
  const different = asked.filter(({ window }) => !same.includes(window))
  const equal = way.sendAll(same, DIGEST_BYTES, DIGESTS_PER_DATAGRAM)
  const answers = different.flatMap(({ window, filter }) => (filter === null ? [] : theirs.lackedBy(filter, window)))
  ours.take(way.sendAll(answers, HEAD_BYTES, HEADS_PER_DATAGRAM))
  for (const { window } of different) window.othersDiffers = true
  for (const window of open.filter((one) => one.othersDiffers && !same.includes(one))) {
    const filter = theirs.filter(window)
    if (!way.send(filter.length + DIGEST_BYTES)) continue
    window.differs = true
    if (ours.digest(window) === theirs.digest(window)) equal.push(window)
    else window.answer = decoded(filter)
  }
  return equal
}

const LOSSES = [0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5]
const RUNS = 10

/** Means over some runs, for each share of datagrams that are lost. */
export function lossesOf(replicas: Replicas, random: Random): Loss[] {
  return LOSSES.map((loss) => {
    const runs = Array.from({ length: RUNS }, () => bloom(replicas, loss, random))
    const mean = (of: 'bytes' | 'rounds'): number => runs.reduce((sum, run) => sum + run[of], 0) / RUNS
    process.stderr.write('.')
    return {
      logs: replicas.logs,
      changed: replicas.changed,
      loss,
      bytes: Math.round(mean('bytes')),
      rounds: Number(mean('rounds').toFixed(1)),
      worst: Math.max(...runs.map(({ rounds }) => rounds)),
    }
  })
}
