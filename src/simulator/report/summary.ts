import type { SimRecord } from '../record.ts'
import type { Content, Html } from './html.ts'
import { markup } from './html.ts'
import { formatBytes, formatNumber, formatShare, formatTime } from './scale.ts'

/** Failures that are listed. */
const MAX_LISTED_FAILURES = 100

/** The verdict in words, how to see it again, and the figures that sum up the run. */
export function summary(record: SimRecord): Html {
  const { verdict, devices, totals, duration, seed, command, trace, peerlog } = record
  const failures = verdict.failures.length
  const sentence = verdict.ok
    ? convergence(totals.convergedAfter)
    : `${formatNumber(failures)} ${failures === 1 ? 'check' : 'checks'} failed. ${convergence(totals.convergedAfter)}`
  return markup`<header class="verdict ${verdict.ok ? 'passed' : 'failed'}">
      <svg class="sign" width="56" height="56" viewBox="0 0 56 56" aria-hidden="true">
        <circle cx="28" cy="28" r="26"/>
        <path d="${verdict.ok ? 'M16 29l8 8 16-18' : 'M19 19l18 18M37 19L19 37'}"/>
      </svg>
      <div>
        <h1>${verdict.ok ? 'Passed' : 'Failed'}</h1>
        <p class="lead">
          ${devices.length} devices, ${formatTime(duration)} of virtual time, seed <strong>${seed}</strong>. ${sentence}
        </p>
      </div>
    </header>
    ${failures > 0 && failureList(record)}
    <section aria-label="How to repeat the run" class="repeat">
      <div class="command">
        <code id="command">${command}</code><button type="button" id="copy" class="needs-script">Copy</button>
      </div>
      <p>The same seed gives the same run. Trace <code class="hash">${trace}</code>, peerlog ${peerlog}.</p>
    </section>
    ${figures(record)}
    <details class="parameters">
      <summary>Parameters of the scenario</summary>
      <dl>
        ${Object.entries(record.parameters).map(
          ([name, value]) =>
            markup`<div>
              <dt>${name}</dt>
              <dd>${String(value)}</dd>
            </div>`,
        )}
      </dl>
    </details>`
}

function convergence(after: number | null): string {
  if (after === null) return 'The devices did not become equal.'
  return after === 0 ? 'All became equal at once.' : `All were equal ${formatTime(after)} after the last heal or write.`
}

function failureList({ verdict: { failures } }: SimRecord): Html {
  return markup`<section class="failures" aria-labelledby="failures-title">
    <h2 id="failures-title">Failures</h2>
    <ol>
      ${failures.slice(0, MAX_LISTED_FAILURES).map(
        ({ check, at, device, detail }, i) =>
          markup`<li>
              <a href="#failure-${i + 1}" data-at="${at}">${formatTime(at)}</a>
              <strong>${check}</strong>${device !== null && markup` on <bdi>${device}</bdi>`}: ${detail}
            </li>`,
      )}
    </ol>
    ${failures.length > MAX_LISTED_FAILURES && markup`<p>and ${formatNumber(failures.length - MAX_LISTED_FAILURES)} more.</p>`}
  </section>`
}

function figures({ totals, samples }: SimRecord): Html {
  const part = (count: number) => (totals.packets === 0 ? '' : `, ${formatShare(count / totals.packets)}`)
  const cells: [string, Content, string][] = [
    ['complete', formatShare(samples.at(-1)?.complete ?? 0), 'of what everyone should hold at the end'],
    [
      'equal after',
      totals.convergedAfter === null ? 'never' : formatTime(totals.convergedAfter),
      'the last heal or write',
    ],
    ['events', formatNumber(totals.events), 'written and acknowledged'],
    ['sent', formatBytes(totals.bytes), `in ${formatNumber(totals.packets)} packets`],
    ['bytes per byte', formatNumber(totals.bytesPerByte, 2), 'sent for each byte of an event received'],
    ['redundancy', formatNumber(totals.redundancy, 2), 'needless copies per event received'],
    ['lost', formatNumber(totals.lost), `packets${part(totals.lost)}`],
    ['doubled', formatNumber(totals.duplicated), `packets${part(totals.duplicated)}`],
    ['reordered', formatNumber(totals.reordered), `packets${part(totals.reordered)}`],
    ['crashes', formatNumber(totals.crashes), 'of devices'],
  ]
  return markup`<section aria-label="Totals">
    <dl class="figures">
      ${cells.map(
        ([name, value, note]) =>
          markup`<div>
            <dt>${name}</dt>
            <dd>${value}<small>${note}</small></dd>
          </div>`,
      )}
    </dl>
  </section>`
}
