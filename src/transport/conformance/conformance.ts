import type { Transport } from '../transport.ts'
import { closingCases } from './closing.ts'
import { disconnectCases } from './disconnecting.ts'
import { meetingCases } from './meeting.ts'
import { messageCases } from './messages.ts'
import { Stage } from './stage.ts'
import { topicCases } from './topics.ts'

/** What a transport is able to do; what it declares itself unable to do is skipped, with the reason in the name. */
export interface TransportCapabilities {
  /** False for a transport that never connects anybody. Default true. */
  connects?: boolean
  /** Peers that one announced peer is connected to at once in the largest case; default 50, 0 skips it. */
  hubPeers?: number
}

export interface TransportConformanceOptions {
  /** Registers one test with whichever runner is used: `test` of vitest or node:test, `it` of mocha. */
  test(name: string, run: () => Promise<void>): void
  /** Stands before the name of every test. */
  name: string
  /** Called for every case: a place where the transports that `createTransport` makes find each other. */
  setup(): Promise<{ createTransport(): Transport | Promise<Transport>; teardown(): Promise<void> }>
  capabilities?: TransportCapabilities
  /** Milliseconds for one case; default 30 000. */
  timeoutMs?: number
}

export interface ConformanceCase {
  name: string
  run(stage: Stage): Promise<void>
  /** Also for transports that connect nobody. */
  alone?: boolean
  /** Why the case is not run, if it is not. */
  skip?: string
}

/**
 * Registers the tests that every transport must pass: everything that `Transport` and `Connection` promise. Asserts
 * with node:assert, so that any runner will do.
 */
export function transportConformance(options: TransportConformanceOptions): void {
  const { connects = true, hubPeers = 50 } = options.capabilities ?? {}
  const cases = [...meetingCases(hubPeers), ...messageCases(), ...closingCases(), ...topicCases(), ...disconnectCases()]
  for (const { name, run, alone = false, skip } of cases) {
    const reason = skip ?? (connects || alone ? undefined : 'it connects nobody')
    if (reason === undefined) options.test(`${options.name}: ${name}`, () => perform(options, name, run))
    else options.test(`${options.name}: ${name} (skipped: ${reason})`, () => Promise.resolve())
  }
}

async function perform(
  { setup, timeoutMs = 30_000 }: TransportConformanceOptions,
  name: string,
  run: (stage: Stage) => Promise<void>,
): Promise<void> {
  const { createTransport, teardown } = await setup()
  const stage = new Stage(createTransport)
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`"${name}" was not done after ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    await Promise.race([run(stage), late])
  } finally {
    clearTimeout(timer)
    await stage.end()
    await teardown()
  }
}
