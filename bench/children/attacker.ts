import { randomBytes } from 'node:crypto'
import { asBuffer } from '../../src/base/bytes.ts'
import { admissionProof } from '../../src/broadcast/admission.ts'
import * as messages from '../../src/broadcast/messages.ts'
import type { DatabaseKeys } from '../../src/event/keys.ts'
import { deriveDatabaseKeys } from '../../src/event/keys.ts'
import { authorKeyPair } from '../../src/event/signature.ts'
import { createTransport } from '../../src/transport/create-transport.ts'
import type { Connection } from '../../src/transport/transport.ts'
import { deriveTopic } from '../../src/topic/topic.ts'
import { foreignLog } from '../lib/foreign-log.ts'
import { childOptions, onMessage, tell } from '../lib/child.ts'
import { SECRET } from '../lib/events.ts'

/** A peer that attacks whomever it meets, in one way, with as many keys as it is told. */
interface Options {
  transport: { mode: 'hyperswarm' | 'relay'; bootstrap?: { host: string; port: number }[]; relayUrl?: string }
  attack: keyof typeof ATTACKS
  keys: number
}

type Attack = (connection: Connection, keys: DatabaseKeys) => Promise<void>

/** False once the connection is gone. */
async function send(connection: Connection, bytes: Buffer): Promise<boolean> {
  return connection.send(bytes).then(
    () => true,
    () => false,
  )
}

async function meet(connection: Connection, keys: DatabaseKeys): Promise<void> {
  const { handshakeHash, initiator } = connection
  await send(connection, messages.encodeHello(admissionProof(keys.admission, handshakeHash, initiator)))
  await send(connection, messages.encodeRoot(Buffer.alloc(32, 0xee)))
  await send(connection, messages.encodeHeads('last', []))
}

async function drain(connection: Connection, react: (bytes: Buffer) => unknown = () => {}): Promise<void> {
  for (let bytes; (bytes = await connection.receive()) !== null;) await react(asBuffer(bytes))
}

/** Sends the same as fast as it goes. */
function flood(make: (keys: DatabaseKeys) => Buffer): Attack {
  return async (connection, keys) => {
    const bytes = make(keys)
    await meet(connection, keys)
    const draining = drain(connection)
    while (await send(connection, bytes));
    await draining
  }
}

/** Asks for all that it hears of, acknowledges it, and asks for it again. */
const askAgain: Attack = async (connection, keys) => {
  await meet(connection, keys)
  const authors = new Map<string, Buffer>()
  let frames = 0
  await drain(connection, async (bytes) => {
    const message = messages.decodeMessage(bytes)
    if (message?.type === 'heads') for (const { author } of message.heads) authors.set(author.toString('hex'), author)
    if (message?.type === 'frame') {
      frames++
      for (const { author } of message.runs) authors.set(author.toString('hex'), Buffer.from(author))
      await send(connection, messages.encodeAck(1))
    }
    if (message?.type !== 'heads' && frames % 16 !== 0) return
    await send(
      connection,
      messages.encodeRequest([...authors.values()].map((author) => ({ author, from: 0, want: 'events' }))),
    )
  })
}

const ATTACKS = {
  'duplicates of one event': flood((keys) => messages.encodeFrame([foreignLog(keys, 1, 1)])),
  'a thousand heads, again and again': flood((keys) => {
    const { author } = foreignLog(keys, 1, 1)
    const tag = Buffer.alloc(messages.TAG_BYTES)
    const heads = Array.from({ length: 1000 }, () => ({ author, length: 1, start: 0, tag }))
    return messages.encodeHeads('news', heads)
  }),
  'bad signatures': flood((keys) => {
    const run = foreignLog(keys, 2, 1)
    return messages.encodeFrame([{ ...run, signature: { ...run.signature, bytes: Buffer.alloc(64, 1) } }])
  }),
  'asking again': askAgain,
  'no hello': (connection) => drain(connection),
} satisfies Record<string, Attack>

const options = childOptions<Options>()
const keys = await deriveDatabaseKeys('bench', SECRET)
const topic = deriveTopic('bench', keys.topic as Buffer)
const transports = Array.from({ length: options.keys }, () =>
  createTransport({ keyPair: authorKeyPair(randomBytes(32)), ...options.transport }),
)
let connections = 0
onMessage('end', () => {
  void Promise.all(transports.map((transport) => transport.disconnect())).then(() => process.disconnect())
})
for (const transport of transports) {
  void (async () => {
    for await (const connection of transport.connect(topic)) {
      if (connections++ === 0) tell({ type: 'met' })
      void ATTACKS[options.attack](connection, keys).finally(() => void connection.close())
    }
  })()
}
