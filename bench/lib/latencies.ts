import type { Child } from './child.ts'

export const LIVE_EVENTS = 3000
const LIVE_PAUSE_MS = 3
/** Events that are not counted: the code is still being compiled. */
const WARM_UP_EVENTS = 1000

/** Milliseconds from append to delivery, one event at a time; ends both children. */
export async function latencies(sender: Child, receiver: Child): Promise<number[]> {
  const values: number[] = []
  for (let i = 0; i < LIVE_EVENTS; i++) {
    sender.send({ type: 'append' })
    const { us } = await receiver.message('late')
    values.push((us as number) / 1000)
    await new Promise((resolve) => setTimeout(resolve, LIVE_PAUSE_MS))
  }
  await Promise.all([sender.end(), receiver.end()])
  return values.slice(WARM_UP_EVENTS)
}
