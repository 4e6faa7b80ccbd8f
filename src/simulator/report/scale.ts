/** The time axis that all plots share, and numbers as a person reads them. */

const SECOND = 1000
const MINUTE = 60 * SECOND
/** Milliseconds between two marks of the axis: what a clock is divided by. */
export const TICK_STEPS: readonly number[] = [
  ...[1, 10, 100].flatMap((power) => [power, 2 * power, 5 * power]),
  ...[1, 2, 5, 10, 15, 30].map((seconds) => seconds * SECOND),
  ...[1, 2, 5, 10, 15, 30, 60, 120, 360, 720, 1440].map((minutes) => minutes * MINUTE),
]
/** Marks of an axis, at most. */
const MAX_TICKS = 10

/** Where a moment lies. Positions are parts of the width: it may be any. */
export class TimeScale {
  /** Milliseconds, at least 1. */
  readonly duration: number

  constructor(duration: number) {
    this.duration = Number.isFinite(duration) ? Math.max(1, duration) : 1
  }

  /** 0 to 1; moments outside of the run lie at its edges. */
  part(at: number): number {
    return Number.isFinite(at) ? Math.min(1, Math.max(0, at / this.duration)) : 0
  }

  percent(at: number): string {
    return `${rounded(this.part(at) * 100, 3)}%`
  }

  /** In a drawing that is 1000 wide. */
  x(at: number): number {
    return rounded(this.part(at) * 1000, 2)
  }

  ticks(): number[] {
    const step = TICK_STEPS.find((one) => this.duration / one <= MAX_TICKS) ?? Math.ceil(this.duration / MAX_TICKS)
    return Array.from({ length: Math.floor(this.duration / step) + 1 }, (_, i) => i * step)
  }
}

/** The next greater number of the form 1, 2 or 5 × 10^n: where a vertical axis ends. */
export function niceCeiling(value: number): number {
  if (!(value > 0) || !Number.isFinite(value)) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  const factor = [1, 2, 5, 10].find((one) => one * power >= value) ?? 10
  return factor * power
}

export function rounded(value: number, digits: number): number {
  return Number.isFinite(value) ? Number(value.toFixed(digits)) : 0
}

/** 12 345.6: thousands apart, by a space that does not break. */
export function formatNumber(value: number, digits = 0): string {
  if (!Number.isFinite(value)) return '\u2013'
  const [whole = '0', fraction] = Math.abs(value).toFixed(digits).split('.')
  const apart = whole.replaceAll(/\B(?=(?:\d{3})+$)/g, '\u202f')
  return (value < 0 ? '\u2212' : '') + apart + (fraction === undefined ? '' : `.${fraction}`)
}

/** 850 ms, 12.35 s, 2 min 05.3 s. */
export function formatTime(ms: number): string {
  if (!Number.isFinite(ms)) return '\u2013'
  if (ms < SECOND && ms > 0) return `${formatNumber(ms)}\u00a0ms`
  if (ms < MINUTE) return `${trimmed(ms / SECOND, 2)}\u00a0s`
  const seconds = trimmed((ms % MINUTE) / SECOND, 1)
  return `${formatNumber(Math.floor(ms / MINUTE))}\u00a0min${seconds === '0' ? '' : `\u00a0${seconds}\u00a0s`}`
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return '\u2013'
  let unit = 0
  let value = bytes
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  return `${formatNumber(value, unit === 0 || value >= 100 ? 0 : 1)}\u00a0${UNITS[unit] as string}`
}

export function formatShare(part: number): string {
  if (part > 0 && part < 0.001) return '<\u20090.1\u00a0%'
  if (part < 1 && part > 0.999) return '>\u200999.9\u00a0%'
  return `${trimmed(part * 100, 1)}\u00a0%`
}

function trimmed(value: number, digits: number): string {
  const text = formatNumber(value, digits)
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text
}
