import type { PathState } from './path-state.ts'

/** Of those that work, the best; of equals the one in use, or else the newest. Null if there are none. */
export function bestPath(paths: Iterable<PathState>, current: PathState | null, now: number): PathState | null {
  let best: PathState | null = null
  for (const path of paths) if (best === null || beats(path, best, current, now)) best = path
  return best
}

/** Of those that are not in use, the oldest of the worst. */
export function worstPath(paths: Iterable<PathState>, current: PathState | null): PathState | null {
  let worst: PathState | null = null
  for (const path of paths) if (path !== current && (worst === null || path.rank > worst.rank)) worst = path
  return worst
}

function beats(path: PathState, best: PathState, current: PathState | null, now: number): boolean {
  if (path.suspect !== best.suspect) return best.suspect
  // While the one in use works, others must have proved themselves.
  if (current?.suspect === false && (path === current || best === current)) {
    const other = path === current ? best : path
    if (other.eligibleAt > now) return path === current
  }
  if (path.rank !== best.rank) return path.rank < best.rank
  return best !== current
}
