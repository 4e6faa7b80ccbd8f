/**
 * Speaks the protocol of Negentropy's public test harness, so that it can be run against other implementations.
 *
 *   in   item,TIMESTAMP,ID   seal   initiate   msg,HEX
 *   out  msg,HEX   have,ID   need,ID   done
 *
 * FRAMESIZELIMIT is the frame limit in bytes, REFERENCE_FRAMES=1 fills frames as the public implementations do.
 */
import { createInterface } from 'node:readline'
import { ItemIndex } from '../../src/reconcile/item-index.ts'
import { RangeReconciler } from '../../src/reconcile/range/range-reconciler.ts'

const index = new ItemIndex()
const unlimited = Number.POSITIVE_INFINITY
const reconciler = new RangeReconciler(index, {
  frameLimit: Number(process.env['FRAMESIZELIMIT'] ?? 0),
  referenceFrames: process.env['REFERENCE_FRAMES'] === '1',
  maxMessageBytes: unlimited,
  maxRanges: unlimited,
  maxIds: unlimited,
  maxItems: unlimited,
  maxRounds: unlimited,
})

function say(...lines: string[]): void {
  process.stdout.write(lines.map((line) => `${line}\n`).join(''))
}

function receive(message: Buffer): void {
  const step = reconciler.receive(message)
  if (step.type === 'violation') throw new Error(`the message is a violation: ${step.fault}`)
  for (const id of step.have) say(`have,${id.toString('hex')}`)
  for (const id of step.need) say(`need,${id.toString('hex')}`)
  say(step.reply === null ? 'done' : `msg,${step.reply.toString('hex')}`)
}

for await (const line of createInterface({ input: process.stdin })) {
  const [what, ...values] = line.split(',')
  const [first = '', second = ''] = values
  if (what === 'item') index.insert(BigInt(first), Buffer.from(second, 'hex'))
  else if (what === 'initiate') say(`msg,${reconciler.initiate().toString('hex')}`)
  else if (what === 'msg') receive(Buffer.from(first, 'hex'))
  else if (what !== 'seal') throw new Error(`not a command: ${line}`)
}
