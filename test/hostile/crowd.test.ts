// Hundreds of connections that only hold a place, over real transports, before an honest peer comes.
import HyperDHT from 'hyperdht'
import { keyPair as newKeyPair } from 'hypercore-crypto'
import { test } from 'vitest'
import { rendezvousOf } from '../../src/transport/relay/rendezvous.ts'
import { MAX_HANDSHAKES, MAX_INCOMING_PEERS, MAX_SESSIONS } from '../../src/base/limits.ts'
import { PING, PONG } from '../../src/transport/hyperswarm/frames.ts'
import { RawClient } from '../relay-server/raw-client.ts'
import type { Script } from './attacker.ts'
import { Attacker } from './attacker.ts'
import { play } from './scenario.ts'
import type { Peer, Scene } from './stage.ts'

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
  }),
)

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
  }),
)

test('300 peers over a relay that never say hello keep nobody out', () =>
  play('no hello', {
    network: 'relay',
    crowd: (scene, victim) => crowdOf(scene, victim, (raw) => raw.listen(), MAX_SESSIONS),
  }),
)

test('300 idle members keep nobody out', () =>
  play('idle members', {
    network: 'relay',
    crowd: (scene, victim) =>
      crowdOf(
        scene,
        victim,
        async (raw) => {
          await raw.meet()
          await raw.ping(5000)
        },
        MAX_SESSIONS,
      ),
  }),
)
