/**
 * What a child process that serves has in common with others. These are JavaScript, unlike everything else: what
 * strips the types of the other children brings a compiler into the process, whose memory would be counted.
 */

import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Milliseconds between two looks at the resident set. */
const RSS_INTERVAL_MS = 50

/**
 * Tells the parent the port, and on 'report' what was used since 'start', in milliseconds and bytes.
 *
 * @param {{ port: number, stats(): object, close(): Promise<void> }} server
 */
export function serve({ port, stats, close }) {
  let startedAt = performance.now()
  let cpuBefore = process.cpuUsage()
  let peakRss = 0
  const loop = monitorEventLoopDelay({ resolution: 10 })
  loop.enable()
  const look = () => (peakRss = Math.max(peakRss, process.memoryUsage.rss()))
  setInterval(look, RSS_INTERVAL_MS).unref()
  const answer = {
    start() {
      startedAt = performance.now()
      cpuBefore = process.cpuUsage()
      peakRss = 0
      look()
      loop.reset()
      process.send({ type: 'start', rss: peakRss })
    },
    report() {
      const { user, system } = process.cpuUsage(cpuBefore)
      const ms = performance.now() - startedAt
      look()
      const rss = process.memoryUsage.rss()
      process.send({
        type: 'report',
        ms,
        cpuMs: (user + system) / 1000,
        rss,
        peakRss,
        stallMax: loop.max / 1e6,
        ...stats(),
      })
    },
    end() {
      process.off('disconnect', orphaned)
      void close().then(() => process.disconnect())
    },
  }
  const orphaned = () => process.exit(1)
  process.once('disconnect', orphaned)
  process.on('message', ({ type }) => answer[type]())
  process.send({ type: 'ready', port })
}
