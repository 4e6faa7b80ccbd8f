import { workerData } from 'node:worker_threads'
import { HASH_BYTES } from '../../base/hash.ts'
import { Mmr } from '../../event/mmr.ts'
import { appendIds, sealChunk } from './chunk.ts'
import type { BeginMessage, ChunkMessage, IdsMessage, SealedMessage, ThreadData } from './sealing-thread.ts'
import { ANSWERS, READY } from './sealing-thread.ts'

/** What the sealing thread runs. */
const { port, signals } = workerData as ThreadData
let mmr = new Mmr()
let sealKey: Uint8Array | null = null

function signalAnswer(): void {
  Atomics.add(signals, ANSWERS, 1)
  Atomics.notify(signals, ANSWERS)
}

port.on('message', (message: BeginMessage | ChunkMessage | IdsMessage) => {
  if ('peaks' in message) {
    mmr = Mmr.from(message.length, message.peaks)
    sealKey = message.sealKey
    return
  }
  if ('ids' in message) {
    appendIds(mmr, Buffer.from(message.ids.buffer, message.ids.byteOffset, message.ids.length))
    const hashed: SealedMessage = { sealed: null, peaks: mmr.peaks() }
    port.postMessage(hashed)
  } else {
    const { bytes, lengths } = message
    const ids = new ArrayBuffer(lengths.length * HASH_BYTES)
    sealChunk({ bytes: Buffer.from(bytes), lengths }, sealKey, Buffer.from(ids))
    appendIds(mmr, Buffer.from(ids))
    const sealed: SealedMessage = { sealed: { bytes, ids }, peaks: mmr.peaks() }
    port.postMessage(sealed, [bytes, ids])
  }
  signalAnswer()
})
// Whoever waits for an answer finds at once that there is none.
process.once('exit', signalAnswer)
Atomics.store(signals, READY, 1)
