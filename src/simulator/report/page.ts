/**
 * A run of the simulator as one page of HTML: it needs nothing but itself, shows everything without a script, and runs
 * none but its own, whose hash its content security policy names. The same record gives the same page.
 */
import { createHash } from 'node:crypto'
import type { SimRecord } from '../record.ts'
import { completePlot, heldPlot, sentPlot, trafficTable } from './curves.ts'
import { happenings } from './happenings.ts'
import type { Html } from './html.ts'
import { jsonIn, markup, visible } from './html.ts'
import { lanesPlot, STATES } from './lanes.ts'
import { groupName, lossPlot, partitionPlot } from './network.ts'
import type { Loss, Reach } from './reach.ts'
import { lossOf, lossOnWays, reachOf } from './reach.ts'
import { formatShare, formatTime, rounded, TICK_STEPS, TimeScale } from './scale.ts'
import { SCRIPT } from './script.ts'
import type { Progress, SentOverTime } from './series.ts'
import { progressOf, rateOf, sentOverTime } from './series.ts'
import { STYLE } from './style.ts'
import { summary } from './summary.ts'

/** The page, with its document type, ready to be written to a file in UTF-8. */
export function renderReport(record: SimRecord): string {
  const scale = new TimeScale(record.duration)
  const progress = progressOf(record)
  const sent = sentOverTime(record)
  const reach = reachOf(record)
  const losses = lossOf(record)
  const ways = lossOnWays(record)
  const verdict = record.verdict.ok ? 'passed' : 'failed'
  const page = markup`<html lang="en">
    <head>
      <meta charset="utf-8"/>
      <meta name="viewport" content="width=device-width, initial-scale=1"/>
      <meta name="color-scheme" content="light dark"/>
      <meta http-equiv="Content-Security-Policy" content="${policy()}"/>
      <link rel="icon" href="data:,"/>
      <title>Simulation ${verdict}: seed ${record.seed}</title>
      <style>
        ${STYLE}
      </style>
    </head>
    <body>
      ${patterns()}
      <main>
        ${summary(record)}
        <section aria-labelledby="plots-title">
          <h2 id="plots-title">The run</h2>
          <div id="plots">
            <div id="cursor" hidden></div>
            <div id="moment" class="needs-script">
              <label class="row"><span class="labels">Moment</span><input type="range" id="slider" min="0" max="1000" value="1000" aria-describedby="readout"/></label>
              <div class="told">
                <output id="readout">Move over a plot, or move the slider, to see a moment in all of them.</output>
                <span class="zoom"><button type="button" id="closer" aria-label="Look closer at the moment">+</button> <button type="button" id="wider" aria-label="Look at more of the run" disabled>−</button> <button type="button" id="whole" disabled>whole run</button></span>
              </div>
            </div>
            ${lanesPlot(record, scale)} ${record.partitions.length > 0 && partitionPlot(record, reach, scale)}
            ${losses.length + ways.length > 0 && lossPlot(losses, ways, scale)} ${heldPlot(progress, scale)}
            ${completePlot(progress, scale)} ${sent.stretches.length > 0 && sentPlot(sent, scale)}
          </div>
        </section>
        <section aria-labelledby="traffic-title">
          <h2 id="traffic-title">Traffic</h2>
          ${trafficTable(record, sent)}
        </section>
        ${happenings(record)}
      </main>
      <script type="application/json" id="data">${jsonIn(dataOf(record, scale, progress, sent, reach, losses))}</script>
      <script>${SCRIPT}</script>
    </body>
  </html>
  `
  return `<!doctype html>\n${page.text}`
}

/** Nothing is fetched, and no script runs but the one of this page. */
function policy(): string {
  const digest = createHash('sha256').update(SCRIPT.text, 'utf8').digest('base64')
  return `default-src 'none'; script-src 'sha256-${digest}'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'`
}

/** What the script tells of a moment. */
function dataOf(
  record: SimRecord,
  scale: TimeScale,
  progress: readonly Progress[],
  sent: SentOverTime,
  reach: readonly Reach[],
  losses: readonly Loss[],
): unknown {
  return {
    duration: scale.duration,
    states: STATES,
    steps: TICK_STEPS,
    devices: record.devices.map(({ name, spans }) => ({
      name: visible(name),
      spans: spans.map(({ from, to, state }) => [from, to, STATES.indexOf(state)]),
    })),
    progress: progress.map((one) => [one.at, one.written, one.least, one.median, one.most, rounded(one.complete, 4)]),
    sent: sent.stretches.map((one) => [one.from, one.to, Math.round(rateOf(one))]),
    reach: reach.map(({ from, to, groups, count }) => [
      from,
      to,
      count,
      groups.map((g) => (g === null ? '' : groupName(g))),
    ]),
    losses: losses.map(({ from, to, chance, detail }) => [
      from,
      to,
      chance === null ? visible(detail) : formatShare(chance),
    ]),
    end: formatTime(scale.duration),
  }
}

/** Patterns that tell states apart without colour. */
function patterns(): Html {
  return markup`<svg width="0" height="0" class="defs" aria-hidden="true">
    <defs>
      <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <rect class="hatch-ground" width="6" height="6"/>
        <line class="hatch-line" x1="0" y1="0" x2="0" y2="6"/>
      </pattern>
      <pattern id="dots" width="5" height="5" patternUnits="userSpaceOnUse">
        <rect class="dots-ground" width="5" height="5"/>
        <circle class="dots-dot" cx="2.5" cy="2.5" r="1"/>
      </pattern>
    </defs>
  </svg>`
}
