/**
 * Runs the simulator over sources that one mutation has broken, until it finds the fault. Arguments: the mutation's name
 * (or `none`), how many seeds, how many devices, which transport. Prints one line of JSON.
 */
import { register } from 'node:module'
import type { SimTransport } from '../../../src/simulator/scenario.ts'

const [name = 'none', seeds = '20', devices = '8', transport = 'stream'] = process.argv.slice(2)
const root = new URL('../../../', import.meta.url).href
if (name !== 'none') register('./hooks.ts', import.meta.url, { data: { name, root } })
const { randomScenario } = await import('../../../src/simulator/random-scenario.ts')
const { simulate } = await import('../../../src/simulator/simulate.ts')

let found: object = { seed: null }
for (let seed = 1; seed <= Number(seeds); seed++) {
  const { verdict } = await simulate({
    scenario: randomScenario({ seed, devices: Number(devices), transport: transport as SimTransport }),
  })
  const [failure] = verdict.failures
  if (failure === undefined) continue
  found = { seed, ...failure }
  break
}
process.stdout.write(`${JSON.stringify(found)}\n`)
