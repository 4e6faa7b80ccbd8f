import { setTimeout as sleep } from 'node:timers/promises'
import { Backoff } from '../base/backoff.ts'
import type { Topic } from '../topic/topic.ts'
import type { Transport } from '../transport/transport.ts'

/** Makes us findable, trying again as often as needed, until the signal aborts; never throws. */
export async function announceFor(
  topic: Topic,
  transport: Transport,
  signal: AbortSignal,
  onProblem: (error: unknown) => void,
): Promise<void> {
  const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  const backoff = new Backoff()
  while (!signal.aborted) {
    try {
      // What an announcement that is still under way does after the end is the transport's affair.
      await Promise.race([transport.announce(topic), aborted])
      return
    } catch (error) {
      if (signal.aborted) return
      onProblem(error)
      await sleep(backoff.next(), undefined, { signal }).catch(() => {})
    }
  }
}
