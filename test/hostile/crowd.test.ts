// Hundreds of connections that only hold a place, over real transports, before an honest peer comes.
import HyperDHT from 'hyperdht'
import { keyPair as newKeyPair } from 'hypercore-crypto'
import { test, vi } from 'vitest'
import { rendezvousOf } from '../../src/transport/relay/rendezvous.ts'
import { MAX_HANDSHAKES, MAX_INCOMING_PEERS, MAX_SESSIONS } from '../../src/base/limits.ts'
import * as messages from '../../src/broadcast/messages.ts'
import { PING, PONG } from '../../src/transport/hyperswarm/frames.ts'
import { RawClient } from '../relay-server/raw-client.ts'
import type { Raw, Script } from './attacker.ts'
import { Attacker } from './attacker.ts'
import { play } from './scenario.ts'
import type { Peer, Scene } from './stage.ts'

// Attackers and victims share the machine: what is measured here is that all comes to an end, not when.
vi.setConfig({ testTimeout: 180_000 })

const CROWD = 300

/** So many attackers with a key each; resolves when at least so many have met the victim. */
async function crowdOf(scene: Scene, victim: Peer, script: Script, atLeast: number): Promise<() => number> {
  const crowd = Array.from({ length: CROWD }, () => scene.own(new Attacker(scene, victim.peerId, script)))
  let met = 0
  await new Promise<void>((resolve) => {
    for (const attacker of crowd) void attacker.met.then(() => (++met === atLeast ? resolve() : undefined))
  })
  return () => crowd.reduce((sum, { raws }) => sum + raws.length, 0)
}

test('300 links over Hyperswarm that join no topic keep nobody out', () =>
  play('links without a topic', {
    network: 'hyperswarm',
    crowd: async (scene, victim) => {
      const { bootstrap = [] } = scene.transport
      const dht = new HyperDHT({ bootstrap, host: '127.0.0.1' })
      scene.own({ [Symbol.asyncDispose]: () => dht.destroy({ force: true }) })
      let opened = 0
      for (let n = 0; n < CROWD; n += 25) {
        const some = Array.from({ length: 25 }, async () => {
          const stream = dht.connect(Buffer.from(victim.peerId, 'hex'), { keyPair: newKeyPair() })
          stream.on('error', () => {})
          stream.on('data', (bytes) => {
            if (bytes[0] === PING) stream.write(Buffer.of(PONG))
          })
          if (await stream.opened) opened++
        })
        await Promise.all(some)
      }
      if (opened < MAX_INCOMING_PEERS) throw new Error(`only ${opened} links came about`)
      return () => opened
    },
  }))

test('300 relay clients that never answer a handshake keep nobody out', () =>
  play('no handshake', {
    network: 'relay',
    crowd: async (scene) => {
      const rendezvous = rendezvousOf(scene.topic)
      const clients = await Promise.all(
        Array.from({ length: CROWD }, () => RawClient.open(scene.transport.relayUrl as string)),
      )
      scene.own({
        [Symbol.asyncDispose]: async () => {
          for (const { socket } of clients) socket.terminate()
        },
      })
      const paired = clients.map(async (client) => {
        client.join(rendezvous, 'connect')
        await client.take('peer')
      })
      await Promise.all(paired.slice(0, MAX_HANDSHAKES))
      return () => clients.length
    },
  }))

test('300 peers over a relay that never say hello keep nobody out', () =>
  play('no hello', {
    network: 'relay',
    crowd: (scene, victim) => crowdOf(scene, victim, (raw) => raw.listen(), MAX_SESSIONS),
  }))

test('300 members that bring nothing, half of which never read, keep nobody out', () => {
  let number = 0
  return play('idle members', {
    network: 'relay',
    prepare: (victim) => victim.append(50, 100_000),
    crowd: (scene, victim) => {
      const everything = { author: Buffer.from(victim.author, 'hex'), from: 0, want: 'events' } as const
      const script = async (raw: Raw): Promise<void> => {
        await raw.meet()
        if (number++ % 2 === 0) return raw.ping(5000)
        await raw.send(messages.encodeRequest([everything]))
        while (await raw.send(messages.PING_MESSAGE)) await new Promise((resolve) => setTimeout(resolve, 2000))
      }
      return crowdOf(scene, victim, script, MAX_SESSIONS)
    },
  })
})
