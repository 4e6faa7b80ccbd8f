// Peers that know the secret and misbehave, against a victim in a process of its own, over real transports.
import { describe, expect, test } from 'vitest'
import { BAN_MIN_MS, REPEAT_BURST_BYTES, REPEAT_BYTES_PER_SECOND, SERVE_WINDOW_BYTES } from '../../src/base/limits.ts'
import * as messages from '../../src/broadcast/messages.ts'
import type { Run } from '../../src/event/run.ts'
import { encodedRunBytes } from '../../src/event/run.ts'
import type { Raw, Script } from './attacker.ts'
import { inventedHead, inventedRun } from './attacker.ts'
import type { Attack } from './scenario.ts'
import { play } from './scenario.ts'
import type { Peer, Scene } from './stage.ts'

const TAG = Buffer.alloc(messages.TAG_BYTES, 1)
const frame = (...runs: Run[]): Buffer => messages.encodeFrame(runs)

/** Opens a session and sends the same again and again, until it is turned away. */
function flood(what: (scene: Scene) => Buffer): (scene: Scene) => Script {
  return (scene) => async (raw) => {
    const bytes = what(scene)
    await raw.meet()
    const listening = raw.listen()
    while (await raw.send(bytes));
    await listening
  }
}

/** Opens a session, sends one thing, and waits for what comes of it. */
function once(what: (scene: Scene) => Buffer): (scene: Scene) => Script {
  return (scene) => async (raw) => {
    await raw.meet()
    await raw.send(what(scene))
    await raw.listen()
  }
}

const floods: Record<string, { script: (scene: Scene) => Script; refused: Attack['refused'] }> = {
  'duplicate frames of one event': { script: flood(({ keys }) => frame(inventedRun(keys, 1))), refused: 'flood' },
  'empty heads': { script: flood(() => messages.encodeHeads('news', [])), refused: 'flood' },
  'a thousand old heads': {
    script: flood(({ log }) => {
      const head = { author: log.author, length: 1, tag: TAG }
      return messages.encodeHeads('news', Array<typeof head>(1000).fill(head))
    }),
    refused: 'flood',
  },
  'requests for nothing': {
    script: flood(() => messages.encodeRequest([{ author: Buffer.alloc(32, 1), from: 0, want: 'events' }])),
    refused: 'flood',
  },
  pings: { script: flood(() => messages.PING_MESSAGE), refused: 'flood' },
}

const segment = ({ log }: Scene, number: number): Run => log.runs[number] as Run
const wrong: Record<string, { script: (scene: Scene) => Script; refused: Attack['refused'] }> = {
  'a signature at another place': {
    script: once((scene) => frame({ ...segment(scene, 1), from: 0 })),
    refused: 'invalid-events',
  },
  'a signature over other events': {
    script: once((scene) => frame({ ...segment(scene, 0), signature: segment(scene, 1).signature })),
    refused: 'invalid-events',
  },
  'a signature over fewer events': {
    script: once((scene) => frame({ ...segment(scene, 0), events: segment(scene, 0).events.slice(1) })),
    refused: 'invalid-events',
  },
  'a signature in another log': {
    script: once((scene) => frame({ ...segment(scene, 0), author: Buffer.alloc(32, 5) })),
    refused: 'invalid-events',
  },
  'a signature for another database': {
    script: once(({ keys }) => frame(inventedRun({ ...keys, tag: Buffer.alloc(32, 9) }, 2))),
    refused: 'invalid-events',
  },
  'peaks that nobody asked for': {
    script: once((scene) => frame({ ...segment(scene, 1), peaks: Buffer.alloc(64, 3) }).subarray()),
    refused: 'protocol-violation',
  },
}

function attacksOf(all: typeof floods, scene: Scene): Record<string, Attack> {
  return Object.fromEntries(
    Object.entries(all).map(([name, { script, refused }]) => [name, { script: script(scene), refused }]),
  )
}

describe('floods', () => {
  test.each(['relay', 'hyperswarm'] as const)('over %s', (network) =>
    play('floods', { network, attacks: (scene) => attacksOf(floods, scene) }),
  )
})

describe('valid signatures in wrong places', () => {
  test.each(['relay', 'hyperswarm'] as const)('over %s', (network) =>
    play('wrong ranges', { network, attacks: (scene) => attacksOf(wrong, scene) }),
  )
})

/** Announces the honest log and delivers it a piece at a time, as slowly as it can without being let go. */
async function drip(raw: Raw, { log }: Scene): Promise<void> {
  await raw.meet([{ author: log.author, length: log.length, tag: TAG }])
  let next = 0
  const timer = setInterval(() => void raw.send(frame(log.runs[next++ % log.runs.length] as Run)), 1000)
  await raw.listen()
  clearInterval(timer)
}

/** Asks for everything, acknowledges it, and asks for it again. */
async function askAgain(raw: Raw, { log }: Scene): Promise<void> {
  const ask = messages.encodeRequest([{ author: log.author, from: 0, want: 'events' }])
  await raw.meet()
  await raw.send(ask)
  await raw.listen(async (message) => {
    if (message.type === 'frame') await raw.send(messages.encodeAck(1))
    const end = message.type === 'frame' ? message.runs.at(-1) : undefined
    if (message.type === 'heads' || (end !== undefined && end.from + end.events.length >= log.length))
      await raw.send(ask)
  })
}

const slow = (scene: Scene, victim: Peer): Record<string, Attack> => {
  const { log } = scene
  const everything = messages.encodeRequest([{ author: Buffer.from(victim.author, 'hex'), from: 0, want: 'events' }])
  return {
    'lies about a real log': {
      script: async (raw) => {
        await raw.meet([{ author: log.author, length: 1_000_000_000, tag: TAG }])
        await raw.ping()
      },
      refused: 'stalled',
    },
    'lies about invented logs': {
      script: async (raw) => {
        await raw.meet(Array.from({ length: 3000 }, (_, n) => inventedHead(n)))
        await raw.ping()
      },
      refused: 'stalled',
    },
    'lies, and sends what cannot be used': {
      script: async (raw) => {
        await raw.meet([{ author: log.author, length: 1_000_000_000, tag: TAG }])
        const stray = { ...(log.runs[0] as Run), events: (log.runs[0] as Run).events.slice(0, 1) }
        let from = 1_000_000
        const timer = setInterval(() => void raw.send(frame({ ...stray, from: from++ })), 500)
        await raw.listen()
        clearInterval(timer)
      },
      refused: 'stalled',
    },
    drips: { script: (raw) => drip(raw, scene), refused: null },
    'is admitted and says no more': {
      script: async (raw) => {
        await raw.hello()
        await raw.ping()
      },
      refused: 'stalled',
    },
    'says nothing': { script: (raw) => raw.listen(), refused: 'not-admitted' },
    'asks and never reads': {
      script: async (raw) => {
        await raw.meet()
        await raw.send(everything)
        // Sending tells when the connection is gone, too.
        while (await raw.send(messages.PING_MESSAGE)) await new Promise((resolve) => setTimeout(resolve, 1000))
      },
      refused: null,
    },
    'asks again and again': { script: (raw) => askAgain(raw, scene), refused: null },
    'comes back after every ban': {
      script: (raw) => raw.send(Buffer.of(99)).then(() => raw.listen()),
      refused: 'protocol-violation',
    },
  }
}

test.concurrent.each(['relay', 'hyperswarm'] as const)('patient attackers, all at once, over %s', async (network) => {
  const started = performance.now()
  await play('patience', {
    network,
    // So that there is something not to read.
    prepare: (victim) => victim.append(80, 100_000),
    attacks: slow,
    check: async ({ scene, victim, attackers }) => {
      const again = attackers['asks again and again']?.raws ?? []
      const logBytes = scene.log.runs.reduce((sum, run) => sum + encodedRunBytes(run), 0)
      const seconds = (performance.now() - started) / 1000
      const received = again.reduce((sum, raw) => sum + raw.receivedBytes, 0)
      expect(received).toBeGreaterThan(logBytes + REPEAT_BURST_BYTES)
      const allowed = 1.1 * logBytes + REPEAT_BURST_BYTES + SERVE_WINDOW_BYTES + seconds * REPEAT_BYTES_PER_SECOND
      expect(received).toBeLessThan(again.length * allowed)

      const deaf = attackers['asks and never reads']
      await victim.until(() => victim.ofType('PeerDisconnected').some(({ peerId }) => peerId === deaf?.peerId))
      // Over the relay its own keep-alives end it sooner.
      const end = victim.ofType('PeerDisconnected').find(({ peerId }) => peerId === deaf?.peerId)
      expect(['silence', 'connection-lost']).toContain(end?.reason)

      const back = attackers['comes back after every ban']
      const offences = (): number =>
        victim.ofType('PeerRefused').filter(({ peerId, byPeer }) => peerId === back?.peerId && !byPeer).length
      await victim.until(() => offences() >= 3)
      // 5 s and then 10 s must have passed since the first.
      expect(performance.now() - started).toBeGreaterThan(3 * BAN_MIN_MS)
    },
  })
})
