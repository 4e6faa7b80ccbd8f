import { expect, it } from 'vitest'
import { Net } from './gossip-net.ts'

const run = (net: Net, label: string) => {
  const t = net.now,
    c = performance.now()
  net.converge()
  console.log(
    label,
    'virtual',
    Math.round(net.now - t),
    'cpu',
    Math.round(performance.now() - c),
    net.nodes.map((n) => `${n.gossip.rounds} ${n.sentBytes}`).join(' | '),
    JSON.stringify(net.nodes.map((n) => n.gossip.waiting)),
  )
  for (const n of net.nodes) expect(n.count('violation')).toBe(0)
  net.close()
}
it.each([0, 0.1, 0.3, 0.5])('converges at %f loss', (loss) => {
  const net = new Net({ loss, seed: 3 })
  const [a, b] = [net.node(), net.node()]
  a.append(1000)
  b.append(1000)
  run(net, `loss ${loss}`)
})
it.each([0, 0.1, 0.3, 0.5])('separately %f loss', (loss) => {
  const net = new Net({ loss, seed: 3 })
  const [a, b] = [net.node(), net.node()]
  a.append(1000, undefined, true)
  b.append(1000, undefined, true)
  run(net, `sep ${loss}`)
})
it('10000 at 30', () => {
  const net = new Net({ loss: 0.3, seed: 3, duplicates: 0.05, late: 0.1 })
  const [a, b] = [net.node(), net.node()]
  a.append(10000, (i) => ({ i, text: 'x'.repeat(150) }))
  b.append(10)
  run(net, `10k`)
})
it('1 MiB', () => {
  const net = new Net({ loss: 0.3, seed: 3 })
  const [a, b] = [net.node(), net.node()]
  a.append(1, () => Buffer.alloc(1048000, 7))
  run(net, `1MiB`)
})
it('5 peers', () => {
  const net = new Net({ loss: 0.3, seed: 3 })
  for (let i = 0; i < 5; i++) net.node().append(500)
  run(net, `5 peers`)
})
it('fork', () => {
  const net = new Net({ loss: 0.3, seed: 3 })
  const [a, b, c] = [net.node({ author: 9 }), net.node({ author: 9 }), net.node()]
  a.append(5)
  a.append(5)
  b.append(7)
  c.append(3)
  run(net, `fork`)
})
it('since', () => {
  const net = new Net({ loss: 0.3, seed: 3 })
  const [a, b] = [net.node(), net.node({ beginning: { last: 20 } })]
  a.append(100)
  a.append(1)
  a.append(100, undefined, true)
  run(net, `since`)
})
