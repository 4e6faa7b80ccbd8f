import { ChannelEnd } from './channel.ts'
import type { Client } from './client.ts'
import {
  MAX_CARDS,
  REFUSED_TOO_MANY_TOPICS,
  type ChannelFrame,
  type JoinFrame,
  type LookupFrame,
  decodeFrame,
  encodeFrame,
  retarget,
} from './frames.ts'
import { MAX_OUTGOING_PAIRS, MAX_PAIRS_PER_MEMBER, MAX_TOPICS_PER_CLIENT, SMALL_CREDIT_BYTES } from './limits.ts'
import { Member, Room } from './room.ts'

/** WebSocket close codes of a client that breaks the rules. */
const PROTOCOL_ERROR = 1002
const POLICY_VIOLATION = 1008

/** Brings the members of a rendezvous together and passes frames between them. Knows no sockets. */
export class Switchboard {
  readonly #rooms = new Map<string, Room>()
  readonly #random: () => number
  #channels = 0
  #forwardedBytes = 0

  constructor(random: () => number = Math.random) {
    this.#random = random
  }

  get topics(): number {
    return this.#rooms.size
  }

  get channels(): number {
    return this.#channels
  }

  get forwardedBytes(): number {
    return this.#forwardedBytes
  }

  receive(client: Client, bytes: Buffer): void {
    const frame = decodeFrame(bytes)
    switch (frame?.kind) {
      case 'data':
      case 'credit':
      case 'close':
        return this.#forward(client, frame, bytes)
      case 'join':
        client.spend()
        return this.#join(client, frame)
      case 'leave': {
        client.spend()
        const member = client.members.get(keyOf(frame.rendezvous))
        if (member !== undefined) this.#leave(member)
        return
      }
      case 'lookup':
        client.spend()
        return this.#lookup(client, frame)
      default:
        return client.close(PROTOCOL_ERROR, frame === null ? 'malformed frame' : 'not a frame for a relay')
    }
  }

  /** Forgets a client that is gone. */
  remove(client: Client): void {
    for (const end of client.ends.values()) this.#hangUp(end)
    for (const member of client.members.values()) this.#leave(member)
  }

  #join(client: Client, frame: JoinFrame): void {
    const key = keyOf(frame.rendezvous)
    let member = client.members.get(key)
    if (member === undefined) {
      if (client.members.size >= MAX_TOPICS_PER_CLIENT) {
        const text = `a client may join ${MAX_TOPICS_PER_CLIENT} topics`
        const { rendezvous } = frame
        return client.send(encodeFrame({ kind: 'refused', code: REFUSED_TOO_MANY_TOPICS, rendezvous, text }))
      }
      member = new Member(client, this.#room(key))
      member.room.add(member)
      client.members.set(key, member)
    }
    member.announce = frame.announce
    member.connect = frame.connect
    // A copy: the frame is a view of a whole network chunk.
    member.card = Uint8Array.from(frame.card)
    if (member.announce) client.send(encodeFrame({ kind: 'joined', rendezvous: frame.rendezvous }))
    this.#pairUp(member, frame.rendezvous)
  }

  #pairUp(member: Member, rendezvous: Uint8Array): void {
    const wanted = (other: Member): boolean =>
      other.client !== member.client &&
      member.fits(other) &&
      !member.paired.has(other) &&
      other.paired.size < MAX_PAIRS_PER_MEMBER &&
      other.client.hasRoom
    for (const other of member.room.pick(MAX_OUTGOING_PAIRS - member.paired.size, wanted)) {
      if (!member.client.hasRoom || member.client.gone) return
      this.#pair(member, other, rendezvous)
    }
  }

  #pair(member: Member, other: Member, rendezvous: Uint8Array): void {
    const near = new ChannelEnd(member, member.client.nextChannel())
    const far = new ChannelEnd(other, other.client.nextChannel())
    ChannelEnd.pair(near, far)
    member.paired.add(other)
    other.paired.add(member)
    member.client.ends.set(near.channel, near)
    other.client.ends.set(far.channel, far)
    this.#channels++
    other.client.send(encodeFrame({ kind: 'peer', channel: far.channel, initiator: false, rendezvous }))
    member.client.send(encodeFrame({ kind: 'peer', channel: near.channel, initiator: true, rendezvous }))
  }

  #lookup(client: Client, frame: LookupFrame): void {
    const room = this.#rooms.get(keyOf(frame.rendezvous))
    const others = room?.pick(MAX_CARDS, (member) => member.announce && member.client !== client) ?? []
    const cards = others.map((member) => member.card)
    client.send(encodeFrame({ kind: 'peers', request: frame.request, cards }))
  }

  #forward(client: Client, frame: ChannelFrame, bytes: Buffer): void {
    const end = client.ends.get(frame.channel)
    if (end === undefined) {
      if (!client.hadChannel(frame.channel)) client.close(PROTOCOL_ERROR, 'no such channel')
      return
    }
    const { other } = end
    switch (frame.kind) {
      case 'data':
        if (!end.charge(frame.payload.length)) return client.close(POLICY_VIOLATION, 'sent beyond the window')
        this.#forwardedBytes += frame.payload.length
        break
      case 'credit':
        if (!other.credit(frame.bytes)) return client.close(POLICY_VIOLATION, 'credited more than was sent')
        if (frame.bytes < SMALL_CREDIT_BYTES) client.spend()
        break
      case 'close':
        return this.#hangUp(end)
    }
    other.client.forward(retarget(bytes, other.channel))
  }

  #leave(member: Member): void {
    for (const end of member.client.ends.values()) if (end.member === member) this.#hangUp(end)
    member.client.members.delete(member.room.key)
    member.room.remove(member)
    if (member.room.size === 0) this.#rooms.delete(member.room.key)
  }

  /** Ends a channel and tells the other side. */
  #hangUp(end: ChannelEnd): void {
    for (const side of [end, end.other]) {
      side.client.ends.delete(side.channel)
      side.member.paired.delete(side.other.member)
      side.other.client.abandon(side.outstanding)
    }
    this.#channels--
    end.other.client.send(encodeFrame({ kind: 'close', channel: end.other.channel }))
  }

  #room(key: string): Room {
    let room = this.#rooms.get(key)
    if (room === undefined) {
      room = new Room(key, this.#random)
      this.#rooms.set(key, room)
    }
    return room
  }
}

function keyOf(rendezvous: Uint8Array): string {
  return Buffer.from(rendezvous.buffer, rendezvous.byteOffset, rendezvous.byteLength).toString('latin1')
}
