import assert from 'node:assert/strict'
import type { Event } from '../../store/stored-event.ts'
import type { Replica, Written } from './replica.ts'

/** That a replica holds exactly what was written, each event once, in every order that there is. */
export async function checkReplica(replica: Replica, written: readonly Written[]): Promise<void> {
  const { name, db, upserts } = replica
  const expected = new Map(written.map((event) => [event.id, event]))
  assert.equal(expected.size, written.length, 'no id stands for two events')

  const arrived = await readAll(db.read())
  assert.equal(new Set(arrived.map(({ id }) => id)).size, arrived.length, `${name} reads an event twice`)
  assert.equal(arrived.length, written.length, `${name} holds ${arrived.length} events of ${written.length}`)
  for (const { id, data, author, seq } of arrived) {
    const original = expected.get(id)
    assert.ok(original !== undefined, `${name} holds an event that nobody wrote: ${author} ${seq}`)
    assert.deepEqual(data, original.data, `${name} holds an event with other data`)
    assert.equal(upserts.get(id), 1, `${name} told NodeUpsert ${upserts.get(id) ?? 0} times for ${author} ${seq}`)
  }
  assert.equal(upserts.size, arrived.length, `${name} told NodeUpsert for what it does not hold`)
  checkLogs(name, 'arrival', arrived)

  assert.deepEqual([...db.waiting()], [], `${name} has events whose causes are missing`)
  const causal = await readAll(db.read({ order: 'causal' }))
  assert.equal(causal.length, written.length, `${name} reads all of them in the causal order`)
  checkLogs(name, 'causal', causal)
  checkCauses(name, causal, expected)
  const byClock = await readAll(db.read({ order: 'clock' }))
  assert.equal(byClock.length, written.length, `${name} reads all of them by clock`)
  checkLogs(name, 'clock', byClock)
}

/** That all replicas hold the same. */
export function checkEqual(replicas: readonly Replica[]): void {
  const [first, ...others] = replicas
  assert.ok(first !== undefined)
  for (const other of others) {
    assert.deepEqual(sorted(other.db.frontier()), sorted(first.db.frontier()), `${other.name} and ${first.name} differ`)
    assert.equal(other.db.frontierRoot(), first.db.frontierRoot(), `${other.name} and ${first.name} have other events`)
  }
}

/** That nobody was turned away, unless faults were meant to bring that about; and that nothing else went wrong. */
export function checkConduct(replicas: readonly Replica[], provokes: boolean): void {
  for (const { name, refusals, problems, transports } of replicas) {
    const injected = replicas.some((other) => other.transports.some(({ counts }) => counts.inject > 0))
    if (!provokes || !injected) {
      const told = refusals.map(({ reason, detail, byPeer }) => `${reason} ${detail}${byPeer ? ' (by the peer)' : ''}`)
      assert.deepEqual(told, [], `${name} and an honest peer refused each other`)
    }
    const ofStore = problems.filter(({ source }) => source === 'store')
    assert.deepEqual(ofStore, [], `${name} had a problem with its store`)
    for (const { breaches } of transports) assert.deepEqual(breaches, [], `${name}'s transport broke its promise`)
  }
}

async function readAll(events: AsyncIterable<Event>): Promise<Event[]> {
  const all: Event[] = []
  for await (const event of events) all.push(event)
  return all
}

/** That each author's events come in the order in which they were written. */
function checkLogs(name: string, order: string, events: readonly Event[]): void {
  const next = new Map<string, number>()
  for (const { author, seq } of events) {
    assert.equal(seq, next.get(author) ?? 0, `${name}, ${order}: out of turn in the log of ${author}`)
    next.set(author, seq + 1)
  }
}

/** That every event comes after all that its author held when writing it. */
function checkCauses(name: string, events: readonly Event[], written: ReadonlyMap<string, Written>): void {
  const lengths = new Map<string, number>()
  for (const { id, author, seq } of events) {
    for (const [cause, length] of written.get(id)?.seen ?? []) {
      const there = lengths.get(cause) ?? 0
      assert.ok(there >= length, `${name}: ${author} ${seq} comes before ${cause} ${length - 1}, which it has seen`)
    }
    lengths.set(author, seq + 1)
  }
}

function sorted(frontier: ReadonlyMap<string, number>): [string, number][] {
  return [...frontier].sort(([a], [b]) => (a < b ? -1 : 1))
}
