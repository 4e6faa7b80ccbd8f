import { Child } from './child.ts'
import type { Target } from './load-client.ts'
import { mediansOf } from './measure.ts'

export type Kind = Target['kind']
export const KINDS: readonly Kind[] = ['relay', 'forwarder']

/** What a server has cost since `start`. */
export interface Costs {
  ms: number
  cpuMs: number
  /** Bytes of the resident set, now and at most. */
  rss: number
  peakRss: number
  /** Milliseconds that its event loop was held up at most. */
  stallMax: number
}

/** A relay or a bare forwarder in a process of its own. */
export class Server {
  readonly target: Target
  readonly #child: Child

  private constructor(child: Child, target: Target) {
    this.#child = child
    this.target = target
  }

  static async listen(kind: Kind): Promise<Server> {
    const child = new Child(`${kind}.mjs`, {})
    const { port } = await child.message('ready')
    return new Server(child, { kind, port: port as number })
  }

  /** Counts from now on. Returns the bytes of the resident set. */
  async start(): Promise<number> {
    return (await this.#child.ask('start'))['rss'] as number
  }

  async costs(): Promise<Costs> {
    return (await this.#child.ask('report')) as unknown as Costs
  }

  end(): Promise<void> {
    return this.#child.end()
  }
}

/** The same for both kinds, one after the other. */
export async function ofBoth<T>(work: (kind: Kind) => Promise<T>): Promise<Record<Kind, T>> {
  const results: Partial<Record<Kind, T>> = {}
  for (const kind of KINDS) results[kind] = await work(kind)
  return results as Record<Kind, T>
}

/** Runs the work several times for each, in turn; the median of each figure that it returns. */
export async function mediansOfBoth<Name extends string>(
  rounds: number,
  work: (kind: Kind) => Promise<Record<Name, number>>,
): Promise<Record<Kind, Record<Name, number>>> {
  const results: Record<Kind, Record<Name, number>[]> = { relay: [], forwarder: [] }
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? KINDS : KINDS.toReversed()
    for (const kind of order) results[kind].push(await work(kind))
    process.stderr.write('.')
  }
  return { relay: mediansOf(results.relay), forwarder: mediansOf(results.forwarder) }
}

/** A process with clients that is ready. */
export async function startLoad(
  script: string,
  options: { target: Target; [option: string]: unknown },
): Promise<Child> {
  const child = new Child(script, options)
  await child.message('ready')
  return child
}
