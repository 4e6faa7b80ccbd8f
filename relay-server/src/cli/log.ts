import { pino } from 'pino'
import { OPTIONS, type LogLevel } from '../config/options.ts'
import type { RelayLogger } from '../relay.ts'

const LEVELS: readonly LogLevel[] = OPTIONS['log-level'].choices

export interface CliLogger extends RelayLogger {
  /** What is logged from now on. */
  level: string
}

/** JSON lines for machines, one-liners for a person at a terminal. */
export function makeLogger(level: LogLevel): CliLogger {
  return process.stdout.isTTY ? new TerminalLogger(level) : pino({ level, base: null })
}

class TerminalLogger implements CliLogger {
  level: LogLevel

  constructor(level: LogLevel) {
    this.level = level
  }

  debug(fields: object, message: string): void {
    this.#print('debug', fields, message)
  }

  info(fields: object, message: string): void {
    this.#print('info', fields, message)
  }

  warn(fields: object, message: string): void {
    this.#print('warn', fields, message)
  }

  #print(from: LogLevel, fields: object, message: string): void {
    if (LEVELS.indexOf(from) < LEVELS.indexOf(this.level)) return
    const details = Object.entries(fields as Record<string, string | number | undefined>)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${name}=${value}`)
    console.log([new Date().toISOString(), from.padEnd(5), message, ...details].join(' '))
  }
}
