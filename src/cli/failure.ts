import { CommanderError } from 'commander'
import { printable } from './printable.ts'

export const EXIT_OK = 0
export const EXIT_FAILED = 1
export const EXIT_USAGE = 2

/** Flags that don't go together, or a value that is none. */
export class UsageError extends Error {
  readonly hint: string | undefined

  constructor(message: string, hint?: string) {
    super(message)
    this.hint = hint
  }
}

/** Ends with 1; what is wrong has been said. */
export class Unhealthy extends Error {}

/** Codes of PeerlogError that mean: what was typed is wrong. */
const USAGE_CODES: readonly string[] = ['INVALID_ARGUMENT', 'INVALID_CONFIG', 'INVALID_DATA', 'EVENT_TOO_LARGE']

/** What to do about it at the command line, where that differs from what a program would do. */
const HINTS: Record<string, string> = {
  LOCKED:
    "Another process has it open. Give this one a file of its own with -d, or stop the other; 'peerlog log' can read it meanwhile",
  WRONG_SECRET:
    'Give the one it was created with, by --secret, --secret-file or PEERLOG_SECRET; or none, if it has none',
  AUTHOR_FORKED:
    "Run 'peerlog new-author' with the same -k and -d to go on under a new key; everything stored stays readable",
  OTHER_DATABASE: 'Give its own key with -k, or another file with -d',
}

/** Tells what went wrong, on stderr, and returns the exit code. */
export function reportFailure(error: unknown): number {
  // Commander has said it already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE
  if (error instanceof Unhealthy) return EXIT_FAILED
  const { message, code, hint } = described(error)
  process.stderr.write(`peerlog: ${printable(message)}\n`)
  if (hint !== undefined) process.stderr.write(`  ${printable(hint)}\n`)
  if (process.env['DEBUG'] !== undefined && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`)
  return error instanceof UsageError || USAGE_CODES.includes(code) ? EXIT_USAGE : EXIT_FAILED
}

/** An error in words, with what to do about it at the command line. */
export function described(error: unknown): { message: string; code: string; hint: string | undefined } {
  if (!(error instanceof Error)) return { message: String(error), code: '', hint: undefined }
  const { code, hint } = error as { code?: unknown; hint?: string }
  const known = typeof code === 'string' ? code : ''
  const end = hint === undefined ? '' : `. ${hint}`
  const message = error.message.endsWith(end)
    ? error.message.slice(0, error.message.length - end.length)
    : error.message
  return { message: message === '' ? error.name : message, code: known, hint: HINTS[known] ?? hint }
}
