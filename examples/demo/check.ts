import { open } from 'peerlog'
import type { Line, Task } from './messages.ts'

export interface Verdict {
  events: number
  root: string
  /** What is wrong with the file; empty if it holds every line exactly once, as it stands in the text. */
  faults: string[]
}

/** Reads a peer's file, after its process has ended, and compares it with the text line by line. */
export async function checkFile({ databaseId, secret, path }: Task, text: readonly string[]): Promise<Verdict> {
  const db = await open({ databaseId, secret, path, readOnly: true })
  const found: string[][] = text.map(() => [])
  const faults: string[] = []
  let events = 0
  for await (const { data } of db.read<Line>({ order: 'clock' })) {
    events++
    const copies = found[data.number]
    if (copies === undefined) faults.push(`line ${data.number} is not one of the text`)
    else copies.push(data.text)
  }
  const missing = text.flatMap((_, number) => (found[number]?.length === 0 ? [number + 1] : []))
  const twice = text.flatMap((_, number) => ((found[number]?.length ?? 0) > 1 ? [number + 1] : []))
  const other = text.flatMap((line, number) =>
    found[number]?.some((copy) => copy !== line) === true ? [number + 1] : [],
  )
  if (missing.length > 0) faults.push(`${missing.length} lines are missing: ${some(missing)}`)
  if (twice.length > 0) faults.push(`${twice.length} lines are there more than once: ${some(twice)}`)
  if (other.length > 0) faults.push(`${other.length} lines differ: ${some(other)}`)
  const root = db.frontierRoot()
  await db.close()
  return { events, root, faults }
}

function some(numbers: number[]): string {
  return `${numbers.slice(0, 5).join(', ')}${numbers.length > 5 ? ' …' : ''}`
}
