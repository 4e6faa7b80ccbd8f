import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import type { SyncEventOf } from '../index.ts'
import type { CommonFlags } from './flags.ts'
import { addCommonFlags, seconds } from './flags.ts'
import { localTime, way } from './format.ts'
import type { Output } from './output.ts'
import { printable } from './printable.ts'
import type { Context } from './with-database.ts'
import { withDatabase } from './with-database.ts'

interface PeersFlags extends CommonFlags {
  for?: number
  once?: true
}

type PeerEvent = SyncEventOf<'PeerConnected' | 'PathChanged' | 'PeerDisconnected' | 'PeerRefused' | 'Problem'>

/** Seconds that `--once` looks for the first peer, and milliseconds that it then waits for more. */
const ONCE_SECONDS = 10
const MORE_PEERS_MS = 500

export function addPeers(program: Command): void {
  const command = program
    .command('peers')
    .summary('print who comes and goes')
    .description('Prints peers that connect, change their way, disconnect or are turned away, until Ctrl-C.')
  command
    .option('--for <seconds>', 'end after so long', seconds)
    .option('--once', `print who is there, and end: after the first peers are found, or ${ONCE_SECONDS} s (--for)`)
  addCommonFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  $ peerlog peers -k my-notes -d :memory:
  $ peerlog peers -k my-notes -d :memory: --once --json`,
    )
    .action((flags: PeersFlags) => peers(flags))
}

async function peers(flags: PeersFlags): Promise<void> {
  await withDatabase(flags, {}, async (context) => {
    const { output } = context
    if (flags.once === true) return listOnce(flags.for ?? ONCE_SECONDS, context)
    output.status(output.statusColors.dim(`looking for peers${flags.for === undefined ? '; Ctrl-C ends' : ''}`))
    await watch(flags.for, context)
  })
}

async function watch(secondsLeft: number | undefined, { db, output, signal }: Context): Promise<void> {
  const { sync } = db
  sync.on('PeerConnected', (event) => void print(event, output))
  sync.on('PathChanged', (event) => void print(event, output))
  sync.on('PeerDisconnected', (event) => void print(event, output))
  sync.on('PeerRefused', (event) => void print(event, output))
  sync.on('Problem', (event) => output.warn(describe(event, output)))
  if (secondsLeft !== undefined) return sleep(secondsLeft * 1000, undefined, { signal }).catch(() => {})
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

async function listOnce(secondsLeft: number, { db, output, signal }: Context): Promise<void> {
  const { sync } = db
  sync.on('Problem', (event) => output.warn(describe(event, output)))
  const found = new AbortController()
  sync.once('PeerConnected', () => found.abort())
  await sleep(secondsLeft * 1000, undefined, { signal: AbortSignal.any([signal, found.signal]) }).catch(() => {})
  if (found.signal.aborted) await sleep(MORE_PEERS_MS, undefined, { signal }).catch(() => {})
  const list = sync.peers()
  for (const peer of list) {
    const { peerId, transport, reason, inSync } = peer
    await output.result(peer, `${peerId}  ${way(transport, reason)}  ${inSync ? 'in sync' : 'syncing'}`)
  }
  if (list.length === 0)
    output.status(`nobody found in ${secondsLeft} s: do they use the same key, secret and transport?`)
}

async function print(event: PeerEvent, output: Output): Promise<void> {
  const ts = Date.now()
  await output.result({ ...event, ts }, `${output.colors.dim(localTime(ts))}  ${describe(event, output)}`)
}

function describe(event: PeerEvent, { colors }: Output): string {
  switch (event.type) {
    case 'PeerConnected':
      return `${colors.green('+')} ${event.peerId}  ${way(event.transport ?? '', event.reason)}`
    case 'PathChanged':
      return `${colors.dim('~')} ${event.peerId}  ${way(event.transport, event.reason)}`
    case 'PeerDisconnected':
      return `${colors.yellow('-')} ${event.peerId}  ${event.reason ?? ''}`
    case 'PeerRefused': {
      const why = event.detail === '' ? event.reason : `${event.reason}: it ${printable(event.detail)}`
      return `${colors.red('x')} ${event.peerId}  ${event.byPeer ? 'turned us away' : 'turned away'} (${why})`
    }
    case 'Problem':
      return printable(`${event.source}: ${event.message}`)
  }
}
