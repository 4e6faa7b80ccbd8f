import { PeerlogError } from '../base/errors.ts'
import { MAX_SUBJECT_BYTES } from '../base/limits.ts'

const CONTROL = /\p{Cc}/u

/** Why the text can't be a subject, or null if it can. The same answer on every replica. */
export function subjectFault(subject: string): string | null {
  if (subject === '') return 'is empty'
  if (!subject.isWellFormed()) return 'is not well-formed Unicode'
  if (Buffer.byteLength(subject, 'utf8') > MAX_SUBJECT_BYTES) return `is longer than ${MAX_SUBJECT_BYTES} bytes`
  if (subject.startsWith('/') || subject.endsWith('/') || subject.includes('//')) return 'has an empty level'
  if (subject.includes('*')) return "contains '*', which is for patterns"
  if (CONTROL.test(subject)) return 'contains a control character'
  return null
}

/** @throws TypeError or {PeerlogError} `INVALID_ARGUMENT`. */
export function checkSubject(subject: string): void {
  if (typeof subject !== 'string') throw new TypeError(`subject must be a string, not ${typeof subject}`)
  const fault = subjectFault(subject)
  if (fault !== null) {
    throw new PeerlogError('INVALID_ARGUMENT', `the subject ${JSON.stringify(subject.slice(0, 80))} ${fault}`, {
      hint: "Write levels separated by single slashes, such as 'notes/shopping'",
    })
  }
}

/**
 * A subject with wildcards, as in globs: `*` stands for any characters within one level, `**` for any number of levels,
 * none included: `notes/**` matches `notes`, `notes/a` and `notes/a/b`.
 */
export interface SubjectPattern {
  /** The subject itself when there is no wildcard in it. */
  readonly exact: string | null
  /** What every match begins with. */
  readonly prefix: string
  matches(subject: string): boolean
}

/** @throws TypeError or {PeerlogError} `INVALID_ARGUMENT`. */
export function parseSubjectPattern(pattern: string): SubjectPattern {
  if (typeof pattern !== 'string') throw new TypeError(`a subject pattern must be a string, not ${typeof pattern}`)
  const fault = subjectFault(pattern.replaceAll('*', 'x'))
  if (fault !== null || pattern.includes('***')) {
    const what = fault ?? "contains '***'"
    throw new PeerlogError('INVALID_ARGUMENT', `the subject pattern ${JSON.stringify(pattern.slice(0, 80))} ${what}`, {
      hint: "Write levels separated by single slashes; '*' matches within a level, '**' any number of levels",
    })
  }
  const star = pattern.indexOf('*')
  if (star === -1) return { exact: pattern, prefix: pattern, matches: (subject) => subject === pattern }
  const levels = pattern.split('/')
  const literal = pattern.slice(0, star)
  return {
    exact: null,
    // A '**' level may match nothing, and then the slash before it is not there either.
    prefix: literal.endsWith('/') ? literal.slice(0, -1) : literal,
    matches: (subject) => matchLevels(levels, subject.split('/')),
  }
}

/** Wildcard matching with one remembered fallback per kind of star: no pattern makes it slower than pattern × text. */
function matchLevels(pattern: string[], levels: string[]): boolean {
  let p = 0
  let fallback = -1
  let resume = 0
  for (let l = 0; l < levels.length;) {
    const want = pattern[p]
    if (want === '**') {
      fallback = p++
      resume = l
    } else if (want !== undefined && matchLevel(want, levels[l] as string)) {
      p++
      l++
    } else if (fallback !== -1) {
      p = fallback + 1
      l = ++resume
    } else {
      return false
    }
  }
  while (pattern[p] === '**') p++
  return p === pattern.length
}

function matchLevel(pattern: string, text: string): boolean {
  if (!pattern.includes('*')) return pattern === text
  let p = 0
  let fallback = -1
  let resume = 0
  for (let t = 0; t < text.length;) {
    if (pattern[p] === '*') {
      fallback = p++
      resume = t
    } else if (p < pattern.length && pattern[p] === text[t]) {
      p++
      t++
    } else if (fallback !== -1) {
      p = fallback + 1
      t = ++resume
    } else {
      return false
    }
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}
