// A restored backup whose peers can be reached by datagrams alone catches up with its own log before it appends.
import { copyFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { OpenOptions, TransportChoice } from '../../src/open.ts'
import { open } from '../../src/open.ts'
import { freePorts } from '../transport/udp-proxy.ts'
import { Folder } from './replica-process.ts'

test('a backup that is restored catches up over datagrams before it appends', async () => {
  using folder = new Folder()
  const [ours, theirs] = (await freePorts(2)) as [number, number]
  const udp = (port: number, peer: number): TransportChoice => ({
    mode: 'udp',
    udpPort: port,
    udpPeers: [`127.0.0.1:${peer}`],
    udpMulticast: false,
  })
  const a: OpenOptions = { databaseId: 'restored', path: folder.file('a.db'), transport: udp(ours, theirs) }
  const before = await open({ ...a, transport: { mode: 'disabled' } })
  await before.appendMany(Array.from({ length: 50 }, (_, n) => ({ subject: 't', data: n })))
  await before.close()
  copyFileSync(a.path, folder.file('backup.db'))

  await using peer = await open({ ...a, path: folder.file('b.db'), transport: udp(theirs, ours) })
  const after = await open(a)
  await after.appendMany(Array.from({ length: 50 }, (_, n) => ({ subject: 't', data: 50 + n })))
  for await (const { position } of peer.read({ follow: true })) if (position === 100) break
  await after.close()
  copyFileSync(folder.file('backup.db'), a.path)

  await using restored = await open(a)
  const problems: string[] = []
  for (const db of [restored, peer]) {
    db.sync.on('Problem', ({ message }) => problems.push(message))
    db.sync.on('ForkDetected', ({ author }) => problems.push(`${author} is forked`))
  }
  expect(restored.position).toBe(50)
  expect((await restored.append('t', 'restored')).seq).toBe(100)
  for await (const { data } of peer.read({ follow: true })) if (data === 'restored') break
  expect(peer.frontierRoot()).toBe(restored.frontierRoot())
  expect(problems).toEqual([])
})
