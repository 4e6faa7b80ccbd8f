// Peers that know the secret and misbehave, against a victim in a process of its own, over real transports.
import { describe, expect, test, vi } from 'vitest'
import * as messages from '../../src/broadcast/messages.ts'
import type { Run } from '../../src/event/run.ts'
import type { Raw, Script } from './attacker.ts'
import { inventedRun } from './attacker.ts'
import type { Attack } from './scenario.ts'
import { play } from './scenario.ts'
import type { Scene } from './stage.ts'

// Attackers and victims share the machine: what is measured here is that all comes to an end, not when.
vi.setConfig({ testTimeout: 180_000 })

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
      const { author } = log
      return messages.encodeHeads(
        'news',
        Array.from({ length: 1000 }, () => ({ author, length: 1, start: 0, tag: TAG })),
      )
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

/** Opens a session, and returns once the victim has the honest log: from then on others have to see where they stay. */
async function meetLate(raw: Raw, { log }: Scene): Promise<void> {
  await raw.meet()
  for (let message; (message = await raw.read()) !== null;) {
    if (message.type === 'heads' && message.heads.some(({ author }) => author.equals(log.author))) return
    if (message.type === 'frame' && message.runs.some(({ author }) => author.equals(log.author))) return
  }
}

test('invented authors, each with one validly signed event', () => {
  const maxLogs = 2000
  return play('invented authors', {
    network: 'relay',
    limits: { maxLogs },
    attacks: (scene) => ({
      'delivers without announcing': {
        script: async (raw) => {
          await meetLate(raw, scene)
          const listening = raw.listen()
          for (let n = 0, more = true; more; n += 100) {
            more = await raw.send(frame(...Array.from({ length: 100 }, (_, i) => inventedRun(scene.keys, n + i))))
          }
          await listening
        },
        refused: 'flood',
      },
      'announces what it delivers': {
        script: async (raw) => {
          const runs = Array.from({ length: 3000 }, (_, n) => inventedRun(scene.keys, 1_000_000 + n))
          const byAuthor = new Map(runs.map((run) => [run.author.toString('hex'), run]))
          const heads = runs.map(({ author }) => ({ author, length: 1, start: 0, tag: TAG }))
          await meetLate(raw, scene)
          for (let n = 0; n < heads.length; n += 1000) {
            await raw.send(messages.encodeHeads('news', heads.slice(n, n + 1000)))
          }
          await raw.listen(async (message) => {
            if (message.type !== 'request') return
            for (const { author } of message.ranges) {
              const run = byAuthor.get(author.toString('hex'))
              if (run !== undefined) await raw.send(frame(run))
            }
          })
        },
        refused: null,
      },
    }),
    check: async ({ victim }) => {
      expect((await victim.state()).logs).toBe(maxLogs)
      expect(victim.ofType('Problem').filter(({ source }) => source === 'store')).toHaveLength(1)
    },
  })
})
