import type { SimTransport } from '../../../src/simulator/scenario.ts'

/** A deliberate break of the sources. */
export interface Mutation {
  name: string
  /** What it breaks, for people. */
  breaks: string
  file: string
  /** Each `find` stands in the file exactly once. */
  edits: { find: string; replace: string }[]
  /** What the devices talk over; by default streams. */
  transport?: SimTransport
}

function mutation(name: string, breaks: string, file: string, ...edits: [find: string, replace: string][]): Mutation {
  return { name, breaks, file, edits: edits.map(([find, replace]) => ({ find, replace })) }
}

/** A break of what is said in datagrams. */
function gossip(...args: Parameters<typeof mutation>): Mutation {
  return { ...mutation(...args), transport: 'datagrams' }
}

/** Faults that the simulator must find. None of them is known to the sources, which have no switches for them. */
export const MUTATIONS: readonly Mutation[] = [
  mutation('unsigned', 'signatures of received events are not verified', 'src/event/run.ts', [
    "return verifyHead(head, run.signature) ? { headers, ids, mmr } : 'WRONG_SIGNATURE'",
    'return { headers, ids, mmr }',
  ]),
  mutation('no-forwarding', 'what came from one peer is not told to the others', 'src/broadcast/session.ts', [
    "      if (this.#phase === 'open') this.#offer(run, log, local)",
    "      if (!local) continue\n      if (this.#phase === 'open') this.#offer(run, log, local)",
  ]),
  mutation(
    'early-acknowledgement',
    'an append resolves although its transaction did not commit',
    'src/store/event-store.ts',
    ['    this.#transact(items.length, () => {\n', '    try { this.#transact(items.length, () => {\n'],
    [
      '    this.#parts.logs.commit(log)\n    // Whether',
      '    } catch {}\n    this.#parts.logs.commit(log)\n    // Whether',
    ],
  ),
  mutation('no-transaction', 'what belongs together is written without a transaction', 'src/store/event-store.ts', [
    'this.#transaction.immediate(() => {',
    ';((work: () => void) => work())(() => {',
  ]),
  mutation('length-not-saved', 'the new length of our own log is not written', 'src/store/event-store.ts', [
    '      this.#parts.logs.save(log)\n      // What we link',
    '      // What we link',
  ]),
  mutation('off-by-one', 'events are asked for from one too late', 'src/broadcast/puller.ts', [
    '{ author, from: length, want: pull.want }',
    '{ author, from: length + 1, want: pull.want }',
  ]),
  mutation('future', 'events whose clocks are far ahead are not held back', 'src/store/writer.ts', [
    'if (latest > this.#parts.now() + MAX_CLOCK_AHEAD_MS && ',
    'if (latest > Infinity && ',
  ]),
  mutation('held-for-ever', 'what is held back is never released', 'src/store/held-runs.ts', [
    'const bytes = until > now ? undefined : ',
    'const bytes = until > 0 ? undefined : ',
  ]),
  mutation(
    'held-not-noted',
    'that a peer has what it sent is not noted if that is held back',
    'src/broadcast/receiver.ts',
    [
      "        this.#remote.atLeast(hex, end)\n        const ok = puller.want(hex, end, 'events')",
      "        const ok = puller.want(hex, end, 'events')",
    ],
  ),
  mutation('early-mark', 'a mark is remembered as of a later place than it was told at', 'src/broadcast/marking.ts', [
    'position: this.#replica.position }',
    'position: this.#replica.position + 3 }',
  ]),
  mutation(
    'mark-of-one',
    'a frontier is taken for common that only one side has had',
    'src/broadcast/marking.ts',
    [
      'const find = (root: Buffer): Mark | undefined => ours.find((mark) => mark.root.equals(root))',
      'const find = (_: Buffer): Mark | undefined => ours[0]',
    ],
    ['return ours.find(({ root }) => theirs.some((mark) => mark.equals(root))) ?? null', 'return ours[0] ?? null'],
  ),
  mutation('claims-kept', 'a session that is done with a log keeps it from the others', 'src/broadcast/claims.ts', [
    '    this.#claims.delete(author)\n',
    '',
  ]),
  mutation('no-links', 'events do not say what their author had seen', 'src/store/own-log.ts', [
    'if (this.#seen.size === 0) return []',
    'return []',
  ]),
  mutation(
    'links-forgotten',
    'after a restart it is forgotten what was seen and not linked yet',
    'src/store/parts.ts',
    ['  for (const head of causal.headsSince(own.hex)) own.see(head)\n', ''],
  ),
  mutation('links-ignored', 'events are delivered before what they link to', 'src/store/causal-order.ts', [
    'if (this.#deliveredLength(hex, log) > seq) continue',
    'if (this.#deliveredLength(hex, log) > -1) continue',
  ]),
  mutation(
    'clock-not-advanced',
    'our clock does not go ahead of those that we have heard of',
    'src/store/event-store.ts',
    ['      this.#parts.clock.observe(log)\n', ''],
  ),
  mutation('clock-not-restored', 'after a restart our clock may be behind what we wrote', 'src/store/parts.ts', [
    '  for (const log of logs.all()) clock.observe(log)\n',
    '',
  ]),
  mutation('root-left-behind', 'the root of the frontier leaves out what a log has grown by', 'src/store/logs.ts', [
    'else this.#note(this.#replace(log), log)',
    'else this.#replace(log)',
  ]),
  mutation('no-acknowledgement', 'stored frames are not acknowledged', 'src/broadcast/receiver.ts', [
    "    assert(received?.length === statuses.length, 'one status for every run')\n    this.#acks++\n",
    "    assert(received?.length === statuses.length, 'one status for every run')\n",
  ]),
  mutation('news-lost', 'what can not be pushed is not announced either', 'src/broadcast/session.ts', [
    '    if (!this.#sender.isServing(hex)) this.#teller.tell(hex)\n    this.#comparison',
    '    this.#comparison',
  ]),
  mutation('stored-twice', 'what a run repeats of what is here is not cut off', 'src/store/ingest.ts', [
    'from: length, peaks: null, events: run.events.slice(length - run.from) }',
    'from: length, peaks: null, events: run.events }',
  ]),
  mutation(
    'timers-ignored',
    'what was expected from another peer and does not come is not asked for',
    'src/broadcast/puller.ts',
    ['    if (this.#delayedUntil > now) return false\n', '    if (this.#delayedUntil > 0) return false\n'],
  ),
  gossip('unsigned-datagrams', 'signatures of events from datagrams are not verified', 'src/event/run.ts', [
    "return verifyHead(head, run.signature) ? { headers, ids, mmr } : 'WRONG_SIGNATURE'",
    'return { headers, ids, mmr }',
  ]),
  gossip('digest-once', 'a digest that may have been lost is not sent again', 'src/broadcast/gossip/exchange.ts', [
    '    this.#digestAt = now + this.#digestMs\n',
    '    this.#digestAt = Infinity\n',
  ]),
]
