/** Collects what a check finds and ends the process accordingly. */
export class Report {
  readonly problems: string[] = []
  readonly notices: string[] = []

  problem(place: string, message: string): void {
    this.problems.push(place === '' ? message : `${place}: ${message}`)
  }

  notice(message: string): void {
    this.notices.push(message)
  }

  /** Prints everything, `summary` last if all is well, and sets the exit code. */
  finish(summary: string): void {
    for (const notice of this.notices) console.log(`note: ${notice}`)
    for (const problem of this.problems) console.error(problem)
    if (this.problems.length === 0) {
      console.log(summary)
    } else {
      console.error(`${this.problems.length} ${this.problems.length === 1 ? 'problem' : 'problems'}`)
      process.exitCode = 1
    }
  }
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
