import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { SimTransport } from '../../../src/simulator/scenario.ts'
import type { Mutation } from './list.ts'
import { MUTATIONS } from './list.ts'

export interface Caught {
  /** Of the run that failed; null if none did. */
  seed: number | null
  check?: string
  detail?: string
}

const MUTANT = fileURLToPath(new URL('mutant.ts', import.meta.url))

/** Runs the simulator over the mutated sources, in a process of its own, for at most so many seeds. */
export function hunt(
  name: Mutation['name'],
  seeds: number,
  devices: number,
  transport: SimTransport = MUTATIONS.find((known) => known.name === name)?.transport ?? 'stream',
): Promise<Caught> {
  return new Promise((resolve, reject) => {
    const args = ['--import', 'ts-blank-space/register', MUTANT, name, String(seeds), String(devices), transport]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let errors = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
    child.on('error', reject)
    child.on('close', (code) => {
      if (code !== 0) return reject(new Error(`the mutant ${name} ended with ${code}: ${errors}`))
      resolve(JSON.parse(out) as Caught)
    })
  })
}
