// Loaded before a documentation block runs: nothing it does may leave this machine. The public DHT nodes are exchanged
// for local ones, and a TCP connection to anywhere else fails.
import { createRequire } from 'node:module'
import net from 'node:net'

const require = createRequire(import.meta.url)
const bootstrap = JSON.parse(process.env.PEERLOG_DOCS_BOOTSTRAP ?? '[]')
try {
  const nodes = require('hyperdht/lib/constants').BOOTSTRAP_NODES
  nodes.splice(0, nodes.length, ...bootstrap.map(({ host, port }) => `${host}:${port}`))
} catch {
  // Without hyperdht there is nothing to exchange.
}

const LOCAL = new Set(['localhost', '::1', undefined, null, ''])
const connect = net.Socket.prototype.connect
net.Socket.prototype.connect = function (...args) {
  const [options] = Array.isArray(args[0]) ? args[0] : args
  const host = typeof options === 'object' ? options.host : typeof args[1] === 'string' ? args[1] : undefined
  if (!LOCAL.has(host) && !host.startsWith('127.')) {
    throw new Error(`a documentation block may not connect to ${host}: keep it on 127.0.0.1, or mark it no-run`)
  }
  return connect.apply(this, args)
}
