import type { Content, Html } from './html.ts'
import { markup } from './html.ts'
import type { TimeScale } from './scale.ts'
import { formatTime } from './scale.ts'

/** Pixels between two things in a plot, and of the line of times under it. */
const AXIS_HEIGHT = 22

/** A horizontal line, a part of the height from the top, and its value. */
export interface Level {
  part: number
  text: string
}

export interface Plot {
  id: string
  title: string
  /** What is to be seen, for those who do not see it. */
  description: string
  /** Under the title: a legend, or a sentence. */
  legend?: Content
  /** What stands to the left of the drawing, in HTML. */
  labels?: Content
  /** Pixels. */
  height: number
  /** Values beside the drawing, which do not move when a part of the time is looked at. */
  levels?: readonly Level[]
  /** SVG: x in percent of the width, y in pixels. */
  drawing: Content
  /** What says the same in text. */
  table?: { summary: string; content: Html }
}

/** A drawing over the time axis: its width is that of the page, its text stays as large as it is. */
export function plot(scale: TimeScale, content: Plot): Html {
  const { id, title, description, legend, labels, levels, height, drawing, table } = content
  return markup`<figure class="plot" id="${id}">
    <figcaption>
      <h3>${title}</h3>
      ${legend ?? null}
    </figcaption>
    <div class="row">
      <div class="labels">${labels ?? null}</div>
      <svg class="area" height="${height + AXIS_HEIGHT}" role="img" aria-label="${description}">
        ${levels !== undefined && levelLines(height, levels)}
        <svg class="window" width="100%" height="${height + AXIS_HEIGHT}">
          <svg class="time" x="0" width="100%" height="${height + AXIS_HEIGHT}">${grid(scale, height)}${drawing}</svg>
        </svg>
      </svg>
    </div>
    ${
      table === undefined
        ? null
        : markup`<details class="as-text">
            <summary>${table.summary}</summary>
            ${table.content}
          </details>`
    }
  </figure>`
}

function grid(scale: TimeScale, height: number): Html {
  const ticks = scale.ticks()
  const lines = ticks.map((at) => {
    const x = scale.percent(at)
    return markup`<line class="grid" x1="${x}" x2="${x}" y1="0" y2="${height}"/>`
  })
  const texts = ticks.map((at, i) => {
    const part = scale.part(at)
    const anchor = i === 0 ? 'start' : part > 0.97 ? 'end' : 'middle'
    // A narrow screen shows every other one.
    return markup`<text class="${i % 2 === 0 ? 'tick' : 'tick odd'}" x="${scale.percent(at)}" y="${height + 16}" text-anchor="${anchor}">${formatTime(at)}</text>`
  })
  return markup`<g aria-hidden="true" class="axis" data-height="${height}">${lines}<line class="base" x1="0" x2="100%" y1="${height}" y2="${height}"/>${texts}</g>`
}

/** Paths in a drawing that is 1000 wide, stretched to the plot's width. */
export function stretched(height: number, content: Content, top = 0): Html {
  return markup`<svg x="0" y="${top}" width="100%" height="${height}" viewBox="0 0 1000 ${height}" preserveAspectRatio="none">
    ${content}
  </svg>`
}

/** Horizontal lines with their values to the left of them. */
function levelLines(height: number, marks: readonly Level[]): Html {
  return markup`<g aria-hidden="true">${marks.map(({ part, text }) => {
    const y = part * height
    return markup`<line class="grid" x1="0" x2="100%" y1="${y}" y2="${y}"/><text class="level" x="-8" y="${y + 4}" text-anchor="end">${text}</text>`
  })}</g>`
}

/** Colours, each with its name: a sample of what it stands for. */
export function legendOf(items: readonly { className: string; text: string; sample?: Content }[]): Html {
  return markup`<ul class="legend">
    ${items.map(
      ({ className, text, sample }) =>
        markup`<li>
          <svg class="sample" width="18" height="12" aria-hidden="true">
            ${sample ?? markup`<rect class="${className}" width="18" height="12"/>`}</svg>${text}
        </li>`,
    )}
  </ul>`
}

export interface Column {
  name: string
  /** Whether it holds numbers, which stand to the right. */
  numeric?: boolean
}

export function table(caption: string, columns: readonly Column[], rows: readonly (readonly Content[])[]): Html {
  return markup`<div class="scroll" tabindex="0" role="region" aria-label="${caption}">
    <table>
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${columns.map(({ name, numeric }) => markup`<th scope="col"${numeric === true ? markup` class="number"` : null}>${name}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (cells) =>
            markup`<tr>
              ${cells.map((cell, i) => {
                if (i === 0) return markup`<th scope="row">${cell}</th>`
                return markup`<td${columns[i]?.numeric === true ? markup` class="number"` : null}>${cell}</td>`
              })}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`
}
