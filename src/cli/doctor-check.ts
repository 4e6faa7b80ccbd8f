/** `'skipped'`: it does not apply here, or could not be looked at. Only `'fail'` makes the whole unhealthy. */
export type Verdict = 'ok' | 'warn' | 'fail' | 'skipped'

export type Section = 'machine' | 'names' | 'udp' | 'relay' | 'clock' | 'fingerprints' | 'file' | 'peers'

/** One line of the report. Its fields, and those of `data`, are described in docs/DOCTOR.md and keep their names. */
export interface Check {
  section: Section
  /** Which line of the section: `'node'`, `'nat'`, a relay's URL and step … */
  name: string
  verdict: Verdict
  /** What was found, for people. */
  seen: string
  /** What to do about it, where it is not ok. */
  advice?: string
  /** What was found, for programs. */
  data?: Record<string, unknown>
}

/** A check without its section. */
export type Finding = Omit<Check, 'section'>

export function ok(name: string, seen: string, data?: Record<string, unknown>): Finding {
  return { name, verdict: 'ok', seen, ...(data === undefined ? {} : { data }) }
}

export function skipped(name: string, seen: string): Finding {
  return { name, verdict: 'skipped', seen }
}

export function bad(
  verdict: 'warn' | 'fail',
  name: string,
  seen: string,
  advice: string,
  data?: Record<string, unknown>,
): Finding {
  return { name, verdict, seen, advice, ...(data === undefined ? {} : { data }) }
}
