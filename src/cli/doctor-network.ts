import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import os from 'node:os'
import type { DhtReport } from '../transport/hyperswarm/dht-check.ts'
import type { RelayReport } from '../transport/relay/relay-check.ts'
import { bad, type Finding, ok, skipped } from './doctor-check.ts'
import { counted } from './format.ts'
import { packageVersion } from './version.ts'

/** Milliseconds that this clock may differ from a relay's before it is worth a word, and before others hold our events back. */
const CLOCK_WARN_MS = 5000
const CLOCK_FAIL_MS: number = 5 * 60_000
/** Days that a certificate should still be good for. */
const CERTIFICATE_WARN_DAYS = 14
const MIN_NODE = [20, 19] as const

export function machineFindings(): Finding[] {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const isOld = major < MIN_NODE[0] || (major === MIN_NODE[0] && minor < MIN_NODE[1])
  const interfaces = Object.entries(os.networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses.filter(({ internal }) => !internal).map(({ address }) => `${name} ${address}`),
  )
  return [
    isOld
      ? bad('fail', 'node', process.versions.node, `Install Node ${MIN_NODE.join('.')} or later`)
      : ok('node', process.versions.node),
    ok('platform', `${process.platform} ${process.arch} ${os.release()}`),
    ok('peerlog', packageVersion()),
    interfaces.length > 0
      ? ok('interfaces', interfaces.join(', '), { interfaces })
      : bad('warn', 'interfaces', 'none but the loopback', 'Connect this machine to a network', { interfaces }),
  ]
}

/** Whether the names of the hosts lead to addresses. */
export function nameFindings(hosts: readonly string[], timeoutMs: number): Promise<Finding[]> {
  const names = [...new Set(hosts)].filter((host) => isIP(host) === 0)
  if (names.length === 0) return Promise.resolve([skipped('names', 'only addresses are used')])
  return Promise.all(names.map((name) => nameFinding(name, timeoutMs)))
}

async function nameFinding(name: string, timeoutMs: number): Promise<Finding> {
  const advice = 'Check how it is spelt, and the name server of this machine'
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    const addresses = (await Promise.race([lookup(name, { all: true }), late])).map(({ address }) => address)
    return ok(name, addresses.join(', '), { addresses })
  } catch (error) {
    return bad('fail', name, `does not resolve: ${(error as Error).message}`, advice, { addresses: [] })
  } finally {
    clearTimeout(timer)
  }
}

/** @param hasRelay whether a relay is there to fall back on. */
export function udpFindings(report: DhtReport, hasRelay: boolean): Finding[] {
  const { answered, asked, medianMs, nat, publicHost, publicPort } = report
  const data = { answered, asked, medianMs, nat, publicHost, publicPort }
  if (answered === 0) {
    const instead = hasRelay ? 'Until then everything goes through the relay' : 'Or use a relay: --relay wss://…'
    const advice = `Let UDP out, also to ports above 1023, in the firewall of this machine and network; check --bootstrap. ${instead}`
    const seen = `none of ${counted(asked, 'DHT node')} answers`
    return [
      bad(hasRelay ? 'warn' : 'fail', 'nodes', seen, advice, data),
      skipped('nat', 'unknown without an answer'),
      skipped('holepunch', 'unknown without an answer'),
    ]
  }
  const nodes = ok(
    'nodes',
    `${answered} of ${counted(asked, 'DHT node')} answered, in ${Math.round(medianMs ?? 0)} ms`,
    data,
  )
  const address = publicPort === null ? (publicHost ?? '') : `${publicHost}:${publicPort}`
  switch (nat) {
    case 'open':
      return [
        nodes,
        ok('nat', `open: others reach you directly at ${address}, unless a firewall keeps them out`),
        ok('holepunch', 'not needed'),
      ]
    case 'consistent':
      return [
        nodes,
        ok('nat', `consistent: behind a NAT that shows you to everybody as ${address}`),
        ok('holepunch', 'works with everybody but peers behind a NAT and firewall that let nothing in'),
      ]
    case 'random':
      return [
        nodes,
        bad(
          'warn',
          'nat',
          `random: behind a NAT that gives you another port for every peer, at ${address}`,
          'Turn on UPnP or forward a UDP port on the router; a phone network or VPN may not let you',
        ),
        bad(
          hasRelay ? 'warn' : 'fail',
          'holepunch',
          'works with open and consistent peers, not with others that are random',
          hasRelay ? 'With those it goes only through the relay' : 'For those add a relay: --relay wss://…',
        ),
      ]
    case 'unknown':
      return [
        nodes,
        bad('warn', 'nat', 'unknown: too few nodes answered to tell', 'Try again; with --bootstrap give more nodes'),
        skipped('holepunch', 'unknown'),
      ]
  }
}

export function relayFindings(url: string, report: RelayReport): Finding[] {
  const { resolved, tcp, tls, health, webSocket } = report
  const findings: Finding[] = []
  const failed = (step: string, seen: string, advice: string, data = {}): number =>
    findings.push(bad('fail', `${url} ${step}`, seen, advice, { url, step, ...data }))
  const passed = (step: string, seen: string, data = {}): number =>
    findings.push(ok(`${url} ${step}`, seen, { url, step, ...data }))

  if (resolved !== undefined) {
    if ('error' in resolved)
      failed('name', resolved.error, 'Check how the URL is spelt, and the name server of this machine')
    else passed('name', resolved.addresses.join(', '), resolved)
  }
  if (tcp !== undefined) {
    if ('error' in tcp) failed('tcp', tcp.error, 'Check that the relay is running, its port, and the firewalls between')
    else passed('tcp', `connected in ${Math.round(tcp.ms)} ms`, tcp)
  }
  if (tls !== undefined) {
    if ('error' in tls) failed('tls', `the certificate is not accepted: ${tls.error}`, tlsAdvice(tls.error), tls)
    else if (tls.daysLeft < CERTIFICATE_WARN_DAYS) {
      const advice = 'Whoever runs the relay has to renew the certificate'
      const seen = `${tls.protocol}; the certificate is good for only ${counted(tls.daysLeft, 'more day')}`
      findings.push(bad('warn', `${url} tls`, seen, advice, { url, step: 'tls', ...tls }))
    } else passed('tls', `${tls.protocol}; the certificate is good for ${counted(tls.daysLeft, 'day')}`, tls)
  }
  if (webSocket !== undefined) {
    if ('error' in webSocket) failed('websocket', webSocket.error, 'Check the path of the URL, and proxies between')
    else passed('websocket', `answers pings in ${webSocket.pingMs.toFixed(1)} ms (median of 5)`, webSocket)
  }
  if (health !== undefined && 'version' in health && health.version !== null) passed('version', health.version, health)
  return findings
}

function tlsAdvice(error: string): string {
  if (/self.signed|UNABLE_TO_VERIFY|unable to (verify|get)/i.test(error)) {
    return 'Give the relay a certificate of a known authority, or make its own known here: NODE_EXTRA_CA_CERTS=ca.pem'
  }
  if (/expired/i.test(error)) return 'Whoever runs the relay has to renew the certificate'
  if (/altname|does not match/i.test(error)) return 'Use the name that the certificate was made for'
  return 'Check that the port speaks TLS (wss://), and the clock of this machine'
}

/** How far this machine's clock is from a relay's, which tells whole seconds only. */
export function clockFinding(url: string, { health }: RelayReport): Finding {
  if (health === undefined || 'error' in health || health.clockOffsetMs === null) {
    return skipped(url, 'it does not tell its time')
  }
  const offsetMs = health.clockOffsetMs
  const data = { url, offsetMs }
  const seconds = Math.abs(Math.round(offsetMs / 1000))
  if (Math.abs(offsetMs) < CLOCK_WARN_MS) return ok(url, 'this clock and that of the relay agree, to about 1 s', data)
  const seen = `this clock is ${counted(seconds, 'second')} ${offsetMs > 0 ? 'behind' : 'ahead of'} that of the relay`
  const isFar = Math.abs(offsetMs) >= CLOCK_FAIL_MS
  return bad(
    isFar ? 'fail' : 'warn',
    url,
    seen,
    `Set the clock of this machine, best by NTP${isFar ? ': events from more than 5 min ahead are held back by others' : ''}`,
    data,
  )
}
