import { hash } from '../../src/base/hash.ts'
import { encodeEvent } from '../../src/event/event.ts'
import type { DatabaseKeys } from '../../src/event/keys.ts'
import { Mmr } from '../../src/event/mmr.ts'
import type { Run } from '../../src/event/run.ts'
import { authorKeyPair, signHead } from '../../src/event/signature.ts'

const ONE = Buffer.from('1')

/** The beginning of an author's log, signed: so many events of one byte. */
export function foreignLog(keys: DatabaseKeys, authorNumber: number, events: number): Run {
  const seed = Buffer.alloc(32, 0x5a)
  seed.writeUInt32LE(authorNumber)
  const author = authorKeyPair(seed)
  const mmr = new Mmr()
  const bytes = Array.from({ length: events }, (_, seq) => {
    const time = 1_700_000_000_000 + seq
    const body = { time, tick: 0, subject: 'x', type: '', links: [], json: true, data: ONE }
    const event = encodeEvent(author.publicKey, seq, body, keys.seal, (into) => void into.fill(authorNumber % 256))
    mmr.append(hash(event))
    return event
  })
  const head = { databaseTag: keys.tag, author: author.publicKey, length: events, root: mmr.root() }
  return { author: author.publicKey, from: 0, peaks: null, signature: signHead(head, author), events: bytes }
}
