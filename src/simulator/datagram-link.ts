import { hash } from '../base/hash.ts'
import { Gossip } from '../broadcast/gossip/gossip.ts'
import type { GossipOutput } from '../broadcast/gossip/output.ts'
import type { StoreCommit } from '../broadcast/replication-options.ts'
import type { RunStatus } from '../broadcast/receiver.ts'
import type { EventStore } from '../store/event-store.ts'
import type { Device } from './device.ts'
import type { ProcessTime } from './process-time.ts'
import type { Timer } from './scheduler.ts'
import type { World } from './world.ts'

export interface DatagramLinkOptions {
  device: Device
  world: World
  time: ProcessTime
  store: EventStore
  /** What became of the runs that were stored, with the events in each. */
  ingested: (statuses: readonly RunStatus[], events: readonly number[]) => void
}

/** Drives the gossip of one process over bare packets, as `Datagrams` does over a channel: what is lost stays lost. */
export class DatagramLink {
  readonly #options: DatagramLinkOptions
  readonly #gossip: Gossip
  #isPumping = false
  #timer: Timer | null = null

  constructor(options: DatagramLinkOptions) {
    const { device, world, store } = options
    this.#options = options
    this.#gossip = new Gossip({
      replica: store,
      key: world.keys.datagrams,
      peerId: peerIdOf(device.number),
      random: (bytes) => {
        const into = Buffer.alloc(bytes)
        device.datagrams.fill(into)
        return into
      },
    })
  }

  start(): void {
    this.#gossip.start(this.#now())
    this.#pump()
  }

  receive(from: number, datagram: Buffer): void {
    this.#options.world.received(from, this.#options.device.number, datagram)
    this.#gossip.receive(datagram, addressOf(from), this.#now())
    this.#pump()
  }

  changed(commit: StoreCommit): void {
    this.#gossip.changed(commit, this.#now())
    this.#pump()
  }

  /** Says goodbye to everybody. */
  stop(): void {
    this.#gossip.stop()
    this.#pump()
    this.#timer?.cancel()
  }

  /** Numbers of the devices that are heard of, and whether they are known to hold the same. */
  get peers(): { number: number; inSync: boolean }[] {
    return this.#gossip.peers().map(({ address, inSync }) => ({ number: numberOf(address), inSync }))
  }

  #now(): number {
    return this.#options.device.clock.now()
  }

  #pump(): void {
    if (this.#isPumping) return
    this.#isPumping = true
    for (;;) {
      const output = this.#gossip.poll(this.#now())
      if (output === null) break
      this.#perform(output)
    }
    this.#isPumping = false
    this.#arm()
  }

  #perform(output: GossipOutput): void {
    const { store, device, world, ingested } = this.#options
    switch (output.type) {
      case 'send': {
        const to = output.to === 'all' ? world.neighbours(device.number) : [numberOf(output.to)]
        for (const number of to) world.sendDatagram(device, number, output.bytes)
        return
      }
      case 'ingest': {
        const statuses = store.ingest(output.runs)
        this.#gossip.ingested(statuses, this.#now())
        return ingested(
          statuses,
          output.runs.map(({ events }) => events.length),
        )
      }
      case 'ingest-proof':
        return this.#gossip.proofIngested(store.ingestForkProof(output.proof))
      case 'violation': {
        const { reason, detail, address } = output
        return world.blamed(device, numberOf(address), { reason, detail, byPeer: false })
      }
      default:
    }
  }

  #arm(): void {
    const { time, device } = this.#options
    this.#timer?.cancel()
    this.#timer = null
    const { wakeAt } = this.#gossip
    if (wakeAt === Infinity) return
    const wait = Math.max(1, Math.ceil(device.clock.trueMs(wakeAt - this.#now())))
    this.#timer = time.in(wait, () => {
      this.#gossip.wake(this.#now())
      this.#pump()
    })
  }
}

function peerIdOf(number: number): string {
  return hash(Buffer.from(`peer ${number}`, 'utf8')).toString('hex')
}

function addressOf(number: number): string {
  return `device ${number}`
}

function numberOf(address: string): number {
  return Number(address.slice('device '.length))
}
