/** A line of a plot. */
export interface Line {
  name: string
  /** Its looks: 0, 1, 2 …, each with a colour and a dash of its own. */
  style: number
  points: [x: number, y: number][]
}

export interface Plot {
  title: string
  x: string
  y: string
  /** Text of a value at an axis. */
  showX: (value: number) => string
  showY: (value: number) => string
  /** From 0 in steps of 10. */
  linearX?: boolean
  lines: Line[]
}

const [WIDTH, HEIGHT] = [720, 420]
const AREA = { left: 76, right: 590, top: 48, bottom: 364 }
/** Colours on light and on dark ground, told apart by those who see few colours too. */
const COLOURS = [
  ['#0b62b5', '#6cb6ff'],
  ['#b35900', '#f0a35e'],
  ['#1a7f37', '#5fd38d'],
  ['#8250df', '#c297ff'],
]
const DASHES = ['', '8 4', '2 4', '10 3 2 3']
const STYLE = `text{font:12px system-ui,sans-serif;fill:#24292f}.t{font-size:15px;font-weight:600}.g{stroke:#d0d7de}.p{fill:none;stroke-width:2.2}${COLOURS.map(
  ([light], i) => `.c${i}{stroke:${light}}.f${i}{fill:${light}}`,
).join('')}@media (prefers-color-scheme:dark){text{fill:#e6edf3}.g{stroke:#3d444d}${COLOURS.map(
  ([, dark], i) => `.c${i}{stroke:${dark}}.f${i}{fill:${dark}}`,
).join('')}}`

/** Both axes are logarithmic unless the plot says otherwise; the ground is left as it is. */
export function svgOf(plot: Plot): string {
  const all = plot.lines.flatMap(({ points }) => points)
  const x = (plot.linearX === true ? linearAxis : axis)(
    all.map(([value]) => value),
    AREA.left,
    AREA.right,
  )
  const y = axis(
    all.map(([, value]) => value),
    AREA.bottom,
    AREA.top,
  )
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${plot.title}">`,
    `<style>${STYLE}</style>`,
    `<text class="t" x="${AREA.left}" y="24">${plot.title}</text>`,
    ...x.ticks.map((value) => tick(x.at(value), AREA.top, x.at(value), AREA.bottom)),
    ...y.ticks.map((value) => tick(AREA.left, y.at(value), AREA.right, y.at(value))),
    ...x.ticks.map((value) => label(x.at(value), AREA.bottom + 18, 'middle', plot.showX(value))),
    ...y.ticks.map((value) => label(AREA.left - 8, y.at(value) + 4, 'end', plot.showY(value))),
    label((AREA.left + AREA.right) / 2, HEIGHT - 12, 'middle', plot.x),
    `<text x="18" y="${(AREA.top + AREA.bottom) / 2}" text-anchor="middle" transform="rotate(-90 18 ${(AREA.top + AREA.bottom) / 2})">${plot.y}</text>`,
  ]
  let lowest = Number.NEGATIVE_INFINITY
  const ends = plot.lines
    .map((line) => ({ line, end: line.points.at(-1) as [number, number] }))
    .toSorted((a, b) => y.at(a.end[1]) - y.at(b.end[1]))
  for (const { line, end } of ends) {
    const { style } = line
    const places = line.points.map(([a, b]) => [x.at(a).toFixed(1), y.at(b).toFixed(1)] as const)
    parts.push(
      `<polyline class="p c${style}" stroke-dasharray="${DASHES[style]}" points="${places.map((at) => at.join(',')).join(' ')}"/>`,
    )
    for (const [a, b] of places) parts.push(`<circle class="f${style}" cx="${a}" cy="${b}" r="3"/>`)
    // Names stand at the ends of lines, none over another.
    lowest = Math.max(lowest + 16, y.at(end[1]) + 4)
    parts.push(`<text class="f${style}" x="${AREA.right + 10}" y="${lowest.toFixed(1)}">${line.name}</text>`)
  }
  return `${[...parts, '</svg>'].join('\n')}\n`
}

interface Axis {
  at: (value: number) => number
  ticks: number[]
}

function axis(values: readonly number[], from: number, to: number): Axis {
  const low = Math.floor(Math.log10(Math.min(...values)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))))
  return {
    at: (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from),
    ticks: Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)),
  }
}

function linearAxis(values: readonly number[], from: number, to: number): Axis {
  const steps = Math.max(1, Math.ceil(Math.max(...values) / 10))
  return {
    at: (value) => from + (value / (steps * 10)) * (to - from),
    ticks: Array.from({ length: steps + 1 }, (_, i) => 10 * i),
  }
}

function tick(x1: number, y1: number, x2: number, y2: number): string {
  return `<line class="g" x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}"/>`
}

function label(x: number, y: number, anchor: string, text: string): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${text}</text>`
}
