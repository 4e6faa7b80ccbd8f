import { ChannelEnd, Side } from './channel.ts'
import type { Client } from './client.ts'
import {
  MAX_CARDS,
  REFUSED_FORBIDDEN_TOPIC,
  REFUSED_TOO_MANY_TOPICS,
  type ChannelFrame,
  type JoinFrame,
  type LookupFrame,
  decodeFrame,
  encodeFrame,
} from './frames.ts'
import { SMALL_CREDIT_BYTES } from './limits.ts'
import { Member, Room, keyOf } from './room.ts'

/** WebSocket close codes of a client that breaks the rules. */
const PROTOCOL_ERROR = 1002
const POLICY_VIOLATION = 1008

/** Other instances of the service, as far as the switchboard cares. */
export interface Elsewhere {
  /** A room has got its first member, or lost its last. */
  onRoom(room: Room, open: boolean): void
  /** Calls back once members elsewhere can find those of the room; at once if there is no way to them now. */
  whenReachable(room: Room, done: () => void): void
  /** A member would like more pairs than there are here. */
  seek(member: Member): void
  /** Adds what others know to the cards that are here. Calls back once, soon. */
  lookup(rendezvous: Uint8Array, cards: Uint8Array[], done: (cards: Uint8Array[]) => void): void
  /** What the client sends can't be passed on as fast: read from it again when it can. */
  holdBack(client: Client): void
}

/** Brings the members of a rendezvous together and passes frames between them. Knows no sockets. */
export class Switchboard {
  readonly #rooms = new Map<string, Room>()
  readonly #random: () => number
  #elsewhere: Elsewhere | undefined
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

  get rooms(): Iterable<Room> {
    return this.#rooms.values()
  }

  /** To be called before there is any client. */
  join(elsewhere: Elsewhere): void {
    this.#elsewhere = elsewhere
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
        if (!client.allows(frame.rendezvous)) return forbid(client, frame.rendezvous)
        return this.#join(client, frame)
      case 'leave': {
        client.spend()
        const member = client.members.get(keyOf(frame.rendezvous))
        if (member !== undefined) this.#leave(member)
        return
      }
      case 'lookup':
        client.spend()
        if (!client.allows(frame.rendezvous)) return forbid(client, frame.rendezvous)
        return this.#lookup(client, frame)
      default:
        return client.close(PROTOCOL_ERROR, frame === null ? 'malformed frame' : 'not a frame for a relay')
    }
  }

  /** Forgets a client that is gone. */
  remove(client: Client): void {
    for (const end of client.ends.values()) this.hangUp(end)
    for (const member of client.members.values()) this.#leave(member)
  }

  /** Opens a channel between a member and somebody else's side. */
  connect(member: Member, far: Side, initiator: boolean): void {
    const near = new ChannelEnd(member)
    Side.pair(near, far)
    this.#channels++
    if (far instanceof ChannelEnd) far.begin(!initiator)
    near.begin(initiator)
  }

  /** Ends a channel and tells the other side. */
  hangUp(side: Side): void {
    side.release()
    side.other.release()
    this.#channels--
    // A number of the right size, which the other side replaces by its own.
    side.other.deliver(encodeFrame({ kind: 'close', channel: 0 }))
  }

  #join(client: Client, frame: JoinFrame): void {
    const key = keyOf(frame.rendezvous)
    let member = client.members.get(key)
    if (member === undefined) {
      const { maxTopics } = client.limits
      if (client.members.size >= maxTopics) {
        client.refused('topic-limit')
        const text = `a client may join ${maxTopics} topics`
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
    if (member.announce) this.#confirm(member)
    this.#pairUp(member)
    if (member.wanted > 0) this.#elsewhere?.seek(member)
  }

  /** Tells a member that whoever looks for it from now on can find it. */
  #confirm(member: Member): void {
    const { client, room } = member
    const tell = (): void => {
      if (client.members.get(room.key) !== member) return
      client.send(encodeFrame({ kind: 'joined', rendezvous: room.rendezvous }))
    }
    if (this.#elsewhere === undefined) tell()
    else this.#elsewhere.whenReachable(room, tell)
  }

  #pairUp(member: Member): void {
    const wanted = (other: Member): boolean => other.client !== member.client && other.isFree(member, member)
    for (const other of member.room.pick(member.wanted, wanted)) {
      if (member.wanted === 0) return
      this.connect(member, new ChannelEnd(other), true)
    }
  }

  #lookup(client: Client, { request, rendezvous }: LookupFrame): void {
    const room = this.#rooms.get(keyOf(rendezvous))
    const others = room?.pick(MAX_CARDS, (member) => member.announce && member.client !== client) ?? []
    const here = others.map((member) => member.card)
    const answer = (cards: Uint8Array[]): void => client.send(encodeFrame({ kind: 'peers', request, cards }))
    if (this.#elsewhere === undefined || here.length === MAX_CARDS) answer(here)
    else this.#elsewhere.lookup(rendezvous, here, answer)
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
        return this.hangUp(end)
    }
    if (!other.deliver(bytes)) this.#elsewhere?.holdBack(client)
  }

  #leave(member: Member): void {
    for (const end of member.client.ends.values()) if (end.member === member) this.hangUp(end)
    member.client.members.delete(member.room.key)
    member.room.remove(member)
    if (member.room.size > 0) return
    this.#rooms.delete(member.room.key)
    this.#elsewhere?.onRoom(member.room, false)
  }

  #room(key: string): Room {
    let room = this.#rooms.get(key)
    if (room === undefined) {
      room = new Room(key, this.#random)
      this.#rooms.set(key, room)
      this.#elsewhere?.onRoom(room, true)
    }
    return room
  }
}

function forbid(client: Client, rendezvous: Uint8Array): void {
  client.refused('topic-forbidden')
  const text = 'the token does not cover this topic'
  client.send(encodeFrame({ kind: 'refused', code: REFUSED_FORBIDDEN_TOPIC, rendezvous, text }))
}
