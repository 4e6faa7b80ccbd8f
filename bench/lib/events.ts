/** Bytes of the JSON text of every benchmark event. */
export const EVENT_BYTES = 200
export const SUBJECTS = 20
/** 32 bytes that seal the benchmark databases. */
export const SECRET: Uint8Array = new Uint8Array(32).fill(7)

const FILLER =
  'lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore magna aliqua ut enim ad minim veniam quis nostrud exercitation ullamco laboris nisi'

export interface BenchData {
  n: number
  text: string
}

export function benchData(n: number): BenchData {
  const frame = JSON.stringify({ n, text: '' }).length
  return { n, text: FILLER.slice(0, EVENT_BYTES - frame) }
}

export function benchItem(n: number): { subject: string; data: BenchData } {
  return { subject: `bench/${n % SUBJECTS}`, data: benchData(n) }
}
