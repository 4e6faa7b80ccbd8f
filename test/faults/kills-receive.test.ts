import fs from 'node:fs'
import path from 'node:path'
import { createRelay } from 'peerlog-relay'
import { afterAll, describe, expect, it } from 'vitest'
import { everything, expectSound, item, openStore, sealed, SEED, seed, tempFolder } from '../store/stores.ts'
import { dice } from '../../src/base/dice.ts'
import { integrity, Ledger, show } from './ledger.ts'
import type { Fault } from './victims.ts'
import { noShim, Victim } from './victims.ts'
import { turns } from './scale.ts'

const LIMIT_MS = 300_000
const KILLS = turns(60)
const SOURCE_EVENTS = 24_000

const totals = { kills: 0, midst: 0, stored: 0, acknowledged: 0, lost: 0, repeated: 0 }
afterAll(() => {
  const { kills, midst, stored, acknowledged, lost, repeated } = totals
  console.log(
    `kills survived: ${kills} (receive ${kills}, ${midst} of them in the middle of it); events received ${stored}, appended meanwhile ${acknowledged}, ` +
      `lost ${lost}, repeated ${repeated}`,
  )
})

const position = (lines: readonly string[], word: string): number =>
  Math.max(0, ...lines.filter((line) => line.startsWith(`${word} `)).map((line) => Number(line.split(' ')[1])))

describe.skipIf(noShim !== null)(`kill -9${noShim === null ? '' : ` (${noShim})`}`, () => {
  it(
    'while catching up through a relay: goes on where it was, and both end up equal',
    { timeout: LIMIT_MS },
    async () => {
      const random = dice(SEED + 300)
      const folder = tempFolder()
      const [sourceFile, file] = ['source', 'replica'].map((name) => {
        fs.mkdirSync(path.join(folder, name))
        return path.join(folder, name, 'test.db')
      }) as [string, string]
      const filled = openStore({ path: sourceFile, keys: sealed })
      for (let author = 0; author < 3; author++) {
        const other = openStore({ keys: sealed, authorSeed: seed(author) })
        for (let done = 0; done < SOURCE_EVENTS / 4; done += 40) {
          await other.append(Array.from({ length: 40 }, (_, i) => item(`s/${i}`, { author, text: 'x'.repeat(150) })))
        }
        show(filled, other)
      }
      for (let done = 0; done < SOURCE_EVENTS / 4; done += 40) {
        await filled.append(Array.from({ length: 40 }, (_, i) => item(`s/${i}`, { text: 'x'.repeat(150) })))
      }
      filled.close()

      const relay = await createRelay({ port: 0, host: '127.0.0.1' })
      const source = new Victim('replica', { path: sourceFile, relayUrl: relay.url, first: null })
      const ledger = new Ledger()
      let stored = 0
      try {
        for (let round = 0; round < KILLS; round++) {
          const byTime = random() < 0.2
          const fault: Fault = {
            do: random() < 0.5 ? 'kill' : 'tear',
            at: 1 + Math.floor(random() * 160),
            // Not from 'kept': once a process was killed, an own event waits until a peer has been asked.
            from: 'opened',
          }
          const replica = new Victim(
            'replica',
            { path: file, relayUrl: relay.url, first: round },
            byTime ? {} : { fault },
          )
          if (byTime) {
            await replica.until((lines) => lines.some((line) => line.startsWith('stored')))
            setTimeout(() => replica.kill(), random() * 20)
          }
          // One that has caught up with everything waits for events that do not come.
          await replica.until((lines) => lines.some((line) => line.startsWith('sync')))
          replica.kill()
          const { lines } = await replica.end()
          totals.kills++
          if (!lines.some((line) => line.startsWith('sync'))) totals.midst++
          // What had been told was here is here.
          if (lines.length > 0) expect(position(lines, 'opened')).toBeGreaterThanOrEqual(stored)
          stored = Math.max(stored, position(lines, 'opened'), position(lines, 'stored'))
          ledger.note(lines.filter((line) => !line.startsWith('opened')))
          expect(lines.filter((line) => /^(fork|problem)/.test(line))).toEqual([])
        }
        const last = new Victim('replica', { path: file, relayUrl: relay.url, first: KILLS })
        const all = SOURCE_EVENTS + KILLS + 1
        await last.until(
          (lines) => position(lines, 'sync') >= SOURCE_EVENTS && lines.some((line) => /^kept/.test(line)),
        )
        ledger.note(last.lines().filter((line) => !line.startsWith('opened')))
        await source.until((lines) => position(lines, 'stored') >= SOURCE_EVENTS + ledger.acknowledged)
        last.finish()
        source.finish()
        const ends = [await last.end(), await source.end()]
        expect(ends.map(({ lines }) => lines.at(-1))).toEqual([ends[0]?.lines.at(-1), ends[0]?.lines.at(-1)])
        for (const { lines } of ends) expect(lines.filter((line) => /^(fork|problem)/.test(line))).toEqual([])
        const replica = openStore({ path: file, keys: sealed })
        ledger.author = replica.author
        ledger.audit(replica)
        expect(everything(replica).length).toBeLessThanOrEqual(all)
        totals.stored = everything(replica).filter(({ local }) => !local).length
        expect(totals.stored).toBe(SOURCE_EVENTS)
        expectSound(replica)
        const fresh = openStore({ keys: sealed })
        show(fresh, openStore({ path: sourceFile, keys: sealed }))
        expect(fresh.frontierRoot()).toEqual(replica.frontierRoot())
        replica.close()
        expect(integrity(file)).toBe('ok')
        for (const key of ['acknowledged', 'lost', 'repeated'] as const) totals[key] += ledger[key]
      } finally {
        source.kill()
        await relay.close()
      }
    },
  )
})
