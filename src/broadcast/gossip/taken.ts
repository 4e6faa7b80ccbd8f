import type { Violation } from '../end-reason.ts'
import type { Place } from './place.ts'
import { placeOf } from './place.ts'

/** What came of a message: where what was of use belongs, and what its sender did wrong. */
export interface Taken {
  useful: readonly Place[]
  violation: Violation | null
}

export const USELESS: Taken = { useful: [], violation: null }

export function useful(time: number, id: Buffer): Taken {
  return { useful: [placeOf(time, id)], violation: null }
}

export function wrong(violation: Violation): Taken {
  return { useful: [], violation }
}
