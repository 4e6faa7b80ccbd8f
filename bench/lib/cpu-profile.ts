import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

/** What `node --cpu-prof` writes, as far as it is read here. */
interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string } }[]
  /** Node that was running at each sample, and microseconds since the sample before. */
  samples: number[]
  timeDeltas: number[]
}

export interface Share {
  what: string
  ms: number
  /** Of the time in which the thread was neither idle nor starting. */
  share: number
}

export interface Breakdown {
  busyMs: number
  /** Loading and compiling modules; not part of the rest. */
  startMs: number
  /** By what the time went into, most first. */
  buckets: Share[]
  /** The functions in which most of it was spent, what they call not included. */
  functions: Share[]
}

/** What a function works for, by its file and name; the first that fits. */
const BUCKETS: readonly [what: string, fits: (file: string, name: string) => boolean][] = [
  ['garbage collection', (_, name) => name === '(garbage collector)'],
  ['signatures', (_, name) => /crypto_sign/.test(name)],
  ['hashing: ids and Merkle tree', (_, name) => /generichash/.test(name)],
  ['sealing', (file, name) => /xchacha20poly1305_ietf/.test(name) && !file.includes('secret-stream')],
  ['SQLite and the store', (file) => /dist\/store\/|better-sqlite3|dist\/store/.test(file)],
  ['encoding and decoding events', (file) => /dist\/(?:event|base)\/|dist\/database/.test(file)],
  ['the session', (file) => /dist\/broadcast\//.test(file)],
  [
    'the transport: Noise, WebSocket, sockets',
    (file, name) =>
      /dist\/transport\/|node_modules\/(?:ws|@hyperswarm|noise-|streamx|sodium-secretstream|hyperdht|udx-native)/.test(
        file,
      ) ||
      /^node:(?:net|internal\/stream)/.test(file) ||
      /secretstream|write(?:v|Buffer)|onStreamRead/.test(name),
  ],
  ['the benchmark itself', (file) => file.includes('/bench/')],
]
const START =
  /^node:internal\/(?:modules|process|vm|bootstrap|deps)|^(?:compileFunction|compileSourceTextModule|wrapSafe)/
const REST = "Node's own: buffers, promises, timers, system calls"

/** Sums up the profile of the main thread that a process left in the folder. */
export function readBreakdown(folder: string, functions: number): Breakdown {
  // CPU.date.time.process.thread.number.cpuprofile
  const name = readdirSync(folder).find((file) => file.split('.')[4] === '0')
  if (name === undefined) throw new Error(`no profile of a main thread in ${folder}`)
  const profile = JSON.parse(readFileSync(path.join(folder, name), 'utf8')) as CpuProfile
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]))
  const buckets = new Map<string, number>()
  const byFunction = new Map<string, number>()
  let busy = 0
  let start = 0
  for (const [i, id] of profile.samples.entries()) {
    const { functionName, url } = frames.get(id) as CpuProfile['nodes'][number]['callFrame']
    const us = profile.timeDeltas[i] as number
    if (functionName === '(idle)') continue
    if (START.test(url === '' ? functionName : url)) {
      start += us
      continue
    }
    busy += us
    const bucket = BUCKETS.find(([, fits]) => fits(url, functionName))?.[0] ?? REST
    buckets.set(bucket, (buckets.get(bucket) ?? 0) + us)
    const place = `${functionName === '' ? '(anonymous)' : functionName} ${url.replace(/^.*\/(?=(?:dist|node_modules|bench)\/)/, '')}`
    byFunction.set(place, (byFunction.get(place) ?? 0) + us)
  }
  return {
    busyMs: busy / 1000,
    startMs: start / 1000,
    buckets: shares(buckets, busy),
    functions: shares(byFunction, busy).slice(0, functions),
  }
}

function shares(times: Map<string, number>, total: number): Share[] {
  return [...times]
    .map(([what, us]) => ({ what: what.trim(), ms: us / 1000, share: us / total }))
    .toSorted((a, b) => b.ms - a.ms)
}
