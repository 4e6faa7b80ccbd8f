import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { dice } from '../../src/base/dice.ts'
import { Crew } from './cluster-crew.ts'
import { Fleet } from './cluster-stage.ts'

/** PEERLOG_SOAK_SECONDS=60 lasts a minute; PEERLOG_SEED takes other turns. */
const SOAK_MS = Number(process.env['PEERLOG_SOAK_SECONDS'] ?? 12) * 1000
const SEED = Number(process.env['PEERLOG_SEED'] ?? 20261125)

/** Four peers that use whichever instance they can reach, and two that know one only: so both always have somebody. */
function crewOf({ relays: [{ url: a }, { url: b }] }: Fleet): Promise<Crew> {
  return Crew.open([[a, b], [b, a], [a, b], [b, a], [a], [b]])
}

async function expectAllOnce(crew: Crew): Promise<void> {
  const told = await crew.finish()
  const { acknowledged } = crew
  for (const events of told) {
    expect([...events.keys()].sort()).toEqual(acknowledged)
    expect([...events.values()].filter((times) => times !== 1)).toEqual([])
  }
  expect(new Set(crew.frontierRoots).size).toBe(1)
}

test(
  'instances are killed and started at random while peers append: nothing is lost or told twice',
  async () => {
    const random = dice(SEED)
    await using fleet = await Fleet.start()
    await using crew = await crewOf(fleet)
    crew.start()
    await crew.meet()
    const end = performance.now() + SOAK_MS
    let kills = 0
    while (performance.now() < end) {
      await wait(500 + random() * 2500)
      const victims: (0 | 1)[] = random() < 0.2 ? [0, 1] : [random() < 0.5 ? 0 : 1]
      await Promise.all(victims.map((i) => fleet.relays[i].process.end('SIGKILL')))
      await wait(random() * 1500)
      for (const i of victims) await fleet.startAgain(i)
      kills += victims.length
    }
    await crew.meet()
    await expectAllOnce(crew)
    console.log(
      `soak: ${kills} kills, ${crew.appended} events, longest pause ${crew.takeLongestPause()} ms, seed ${SEED}`,
    )
  },
  SOAK_MS + 60_000,
)

test('a rolling restart is a pause, and nothing else', async () => {
  await using fleet = await Fleet.start()
  await using crew = await crewOf(fleet)
  crew.start()
  await crew.meet()
  crew.takeLongestPause()
  const pauses: number[] = []
  for (const i of [0, 1] as const) {
    expect(await fleet.relays[i].process.end('SIGTERM')).toBe(0)
    const again = await fleet.startAgain(i)
    await again.logged('an instance has appeared')
    await crew.meet()
    pauses.push(crew.takeLongestPause())
  }
  await expectAllOnce(crew)
  console.log(`rolling restart: ${crew.appended} events, longest pauses ${pauses.join(' and ')} ms`)
})
