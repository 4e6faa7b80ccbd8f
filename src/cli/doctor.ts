import type { Command } from 'commander'
import type { OpenOptions } from '../index.ts'
import type { Check, Finding, Section, Verdict } from './doctor-check.ts'
import { skipped } from './doctor-check.ts'
import { Unhealthy } from './failure.ts'
import type { CommonFlags } from './flags.ts'
import { addCommonFlags, openOptions, seconds, secretOf, transportsOf } from './flags.ts'
import { Output } from './output.ts'
import { printable } from './printable.ts'
import { stopOnSignals } from './with-database.ts'

type DoctorFlags = Omit<CommonFlags, 'discoveryKey'> & { discoveryKey?: string; wait?: number }

/** Seconds that peers are waited for. */
const WAIT_SECONDS = 10
/** Milliseconds for one step on the way to a relay or a name server, and for all that is asked of the DHT. */
const STEP_MS = 4000
const DHT_MS = 9000

const TITLES: Record<Section, string> = {
  machine: 'This machine',
  names: 'Name resolution',
  udp: 'UDP and NAT',
  relay: 'Relays',
  clock: 'Clock',
  fingerprints: 'Fingerprints',
  file: 'File',
  peers: 'Peers',
}

export function addDoctor(program: Command): void {
  const command = program
    .command('doctor')
    .summary('find out why peers do not meet')
    .description(
      'Checks what lies between this machine and the others, and says what to do. Without -k only the network. Ends with 1 if something failed.',
    )
  command.option('--wait <seconds>', `look for peers so long (default: ${WAIT_SECONDS})`, seconds)
  addCommonFlags(command, { keyIsOptional: true })
    .addHelpText(
      'after',
      `
Examples:
  $ peerlog doctor
  $ peerlog doctor -k my-notes -d notes.db --relay wss://relay.example.org`,
    )
    .action((flags: DoctorFlags) => doctor(flags))
}

async function doctor(flags: DoctorFlags): Promise<void> {
  const output = new Output(flags)
  const plan = await planOf(flags)
  const abort = new AbortController()
  const release = stopOnSignals(abort)
  const checks: Check[] = []
  try {
    output.status(output.statusColors.dim('checking …'))
    for (const [section, findings] of begin(plan, abort.signal)) {
      const found = (await findings).map((finding) => ({ section, ...finding }))
      checks.push(...found)
      if (!output.json) for (const line of sectionLines(section, found, output)) await output.line(line)
    }
  } finally {
    abort.abort()
    release()
  }
  const healthy = checks.every(({ verdict }) => verdict !== 'fail')
  if (output.json) await output.result({ healthy, checks }, '')
  else output.status(summary(checks, output))
  if (!healthy) throw new Unhealthy()
}

// ---- what is looked at ----------------------------------------------------------------------------------------------

interface Plan {
  usesUdp: boolean
  relays: string[]
  relayToken: string | undefined
  bootstrap: { host: string; port: number }[] | undefined
  waitMs: number
  database: { id: string; secret: string | undefined; options: OpenOptions & { path: string } } | null
}

/** Rejects for flags that are wrong or don't go together. */
async function planOf(flags: DoctorFlags): Promise<Plan> {
  const transports = transportsOf(flags)
  const { createTransport, deriveTopic } = await import('../index.ts')
  for (const transport of transports) createTransport(transport)
  if (flags.discoveryKey !== undefined) deriveTopic(flags.discoveryKey)
  const relay = transports.find(({ relayUrl }) => relayUrl !== undefined)
  const { discoveryKey } = flags
  const secret = secretOf(flags)
  return {
    usesUdp: transports.some(({ mode }) => mode === 'hyperswarm' || mode === 'auto'),
    relays: [relay?.relayUrl ?? []].flat(),
    relayToken: typeof relay?.relayToken === 'string' ? relay.relayToken : undefined,
    bootstrap: flags.bootstrap,
    waitMs: (flags.wait ?? WAIT_SECONDS) * 1000,
    database:
      discoveryKey === undefined
        ? null
        : { id: discoveryKey, secret, options: openOptions({ ...flags, discoveryKey }) },
  }
}

/** Everything at once; told in this order. */
function begin(plan: Plan, signal: AbortSignal): [Section, Promise<Finding[]>][] {
  const network = networkSections(plan, signal)
  const database = databaseSections(plan, signal)
  const sections = [...network, ...database]
  // One that fails is heard when its turn comes.
  for (const [, findings] of sections) findings.catch(() => {})
  return sections
}

function networkSections(plan: Plan, signal: AbortSignal): [Section, Promise<Finding[]>][] {
  const { usesUdp, relays, bootstrap } = plan
  const loaded = import('./doctor-network.ts')
  const reports = relays.map(async (url) => {
    const { checkRelay } = await import('../transport/relay/relay-check.ts')
    const token = plan.relayToken === undefined ? {} : { token: plan.relayToken }
    return { url, report: await checkRelay({ url, timeoutMs: STEP_MS, signal, ...token }) }
  })
  const udp = async (): Promise<Finding[]> => {
    if (!usesUdp) return [skipped('nodes', 'no transport uses UDP')]
    const { checkDht } = await import('../transport/hyperswarm/dht-check.ts')
    const options = { timeoutMs: DHT_MS, signal, ...(bootstrap === undefined ? {} : { bootstrap }) }
    return (await loaded).udpFindings(await checkDht(options), relays.length > 0)
  }
  const names = async (): Promise<Finding[]> => {
    const { bootstrapNodes } = await import('../transport/hyperswarm/dht-check.ts')
    const hosts = [
      ...relays.map((url) => new URL(url).hostname),
      ...(usesUdp ? bootstrapNodes(bootstrap) : []).map(hostOf),
    ]
    return (await loaded).nameFindings(hosts, STEP_MS)
  }
  const relay = async (): Promise<Finding[]> => {
    if (relays.length === 0) return [skipped('relay', 'none is used')]
    const { relayFindings } = await loaded
    return (await Promise.all(reports)).flatMap(({ url, report }) => relayFindings(url, report))
  }
  const clock = async (): Promise<Finding[]> => {
    if (relays.length === 0) return [skipped('clock', 'no relay to compare it with')]
    const { clockFinding } = await loaded
    return (await Promise.all(reports)).map(({ url, report }) => clockFinding(url, report))
  }
  return [
    ['machine', loaded.then(({ machineFindings }) => machineFindings())],
    ['names', names()],
    ['udp', udp()],
    ['relay', relay()],
    ['clock', clock()],
  ]
}

function hostOf({ host }: { host: string }): string {
  return host
}

function databaseSections({ database, relays, waitMs }: Plan, signal: AbortSignal): [Section, Promise<Finding[]>][] {
  if (database === null) return []
  const { id, secret, options } = database
  const loaded = import('./doctor-database.ts')
  const fingerprints = loaded.then(({ fingerprintFindings }) => fingerprintFindings(id, secret, relays.length > 0))
  const opened = fingerprints.then(async () => (await loaded).openFile(options))
  const peers = async (): Promise<Finding[]> => {
    const { db } = await opened
    if (db === null) return [skipped('peers', 'not without the file')]
    try {
      const { peerFindings } = await import('./doctor-peers.ts')
      return await peerFindings(db, waitMs, signal)
    } finally {
      await db.close()
    }
  }
  return [
    ['fingerprints', fingerprints],
    ['file', opened.then(({ findings }) => findings)],
    ['peers', peers()],
  ]
}

// ---- how it is told -------------------------------------------------------------------------------------------------

const MARKS: Record<Verdict, string> = { ok: 'ok', warn: 'warn', fail: 'FAIL', skipped: '-' }

function sectionLines(section: Section, checks: readonly Check[], { colors }: Output): string[] {
  const paint: Record<Verdict, (text: string) => string> = {
    ok: colors.green,
    warn: colors.yellow,
    fail: colors.red,
    skipped: colors.dim,
  }
  const lines = checks.flatMap(({ name, verdict, seen, advice }) => [
    `  ${paint[verdict](MARKS[verdict].padEnd(4))}  ${name}: ${printable(seen)}`,
    ...(advice === undefined ? [] : [`        ${printable(advice)}`]),
  ])
  return [colors.bold(TITLES[section]), ...lines]
}

function summary(checks: readonly Check[], { statusColors }: Output): string {
  const count = (wanted: Verdict): number => checks.filter(({ verdict }) => verdict === wanted).length
  const [failed, warned] = [count('fail'), count('warn')]
  if (failed > 0) return statusColors.red(`${failed} failed, ${warned} to look at: docs/DOCTOR.md explains every line`)
  if (warned > 0) return statusColors.yellow(`nothing failed, ${warned} to look at: docs/DOCTOR.md explains every line`)
  return statusColors.green('all is well')
}
