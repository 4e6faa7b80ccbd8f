/**
 * Checks that the documents tell the truth: every `ts` and `js` block of README.md, docs/*.md and relay-server/README.md
 * compiles against the built packages and runs; every relative link of every document leads somewhere; every figure is
 * the one in bench/results.json, and the options of the relay are those that it declares.
 *
 * Words after a block's language:
 *   no-run       is compiled, not run
 *   run=relay    runs while a relay listens on 127.0.0.1:8443
 *
 * A block runs by itself: in an empty folder, in a process of its own, for at most 60 seconds, and without a network
 * but loopback (the default DHT nodes are a local testnet's).
 *
 * `--root FOLDER` checks the documents of another folder against this repository's packages.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, posix, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import ts from 'typescript'
import { checkBench } from './bench-readme.ts'
import { filesBelow, REPOSITORY } from './lib/files.ts'
import { anchors, type CodeBlock, codeBlocks, links } from './lib/markdown.ts'
import { run } from './lib/processes.ts'
import { messageOf, Report } from './lib/report.ts'
import { checkRelayOptions } from './relay-options.ts'

const RUN_LIMIT_MS = 60_000
const RELAY_PORT = 8443
const KNOWN_MARKS = new Set(['no-run', 'run=relay'])

interface Sample extends CodeBlock {
  document: string
  /** `README.md:12`. */
  place: string
  /** The block as a file, moved down so that its line numbers are the document's. */
  source: string
  /** What runs. */
  output: string
}

const require = createRequire(import.meta.url)

function documentsWithCode(root: string): string[] {
  const docs = filesBelow(root, 'docs', (path) => path.endsWith('.md')).filter((path) => !path.slice(5).includes('/'))
  return ['README.md', ...docs, 'relay-server/README.md'].filter((path) => existsSync(join(root, path)))
}

function collect(root: string, workshop: string, report: Report): Sample[] {
  const samples: Sample[] = []
  for (const document of documentsWithCode(root)) {
    for (const block of codeBlocks(readFileSync(join(root, document), 'utf8'))) {
      const extension = { ts: 'ts', typescript: 'ts', js: 'js', javascript: 'js', mjs: 'js' }[block.language]
      if (extension === undefined) continue
      const place = `${document}:${block.line}`
      for (const mark of block.marks) {
        if (!KNOWN_MARKS.has(mark)) report.problem(place, `does not know the mark "${mark}"`)
      }
      const name = `${document.replaceAll('/', '__')}.${block.line}`
      const source = join(workshop, 'blocks', `${name}.${extension}`)
      writeFileSync(source, '\n'.repeat(block.line - 1) + block.code)
      samples.push({ ...block, document, place, source, output: join(workshop, 'out', `${name}.js`) })
    }
  }
  return samples
}

/** A folder in which the packages are installed, as links. */
function makeWorkshop(): string {
  const workshop = mkdtempSync(join(tmpdir(), 'peerlog-docs-'))
  mkdirSync(join(workshop, 'blocks'))
  writeFileSync(join(workshop, 'package.json'), '{ "type": "module" }\n')
  const manifest = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8')) as {
    dependencies?: Record<string, string>
    devDependencies?: Record<string, string>
  }
  const packages = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })
  const link = (name: string, target: string) => {
    if (!existsSync(target)) return
    const path = join(workshop, 'node_modules', name)
    mkdirSync(dirname(path), { recursive: true })
    symlinkSync(target, path, 'dir')
  }
  link('peerlog', REPOSITORY)
  link('peerlog-relay', join(REPOSITORY, 'relay-server'))
  for (const name of packages) {
    if (!name.startsWith('peerlog')) link(name, join(REPOSITORY, 'node_modules', name))
  }
  return workshop
}

/** Compiles all blocks as one program and returns those without an error. */
function compile(samples: Sample[], workshop: string, report: Report): Sample[] {
  const program = ts.createProgram(
    samples.map((sample) => sample.source),
    {
      target: ts.ScriptTarget.ES2022,
      lib: ['lib.es2024.d.ts', 'lib.esnext.disposable.d.ts'],
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      moduleDetection: ts.ModuleDetectionKind.Force,
      types: ['node'],
      typeRoots: [join(workshop, 'node_modules/@types')],
      strict: true,
      skipLibCheck: true,
      allowJs: true,
      checkJs: true,
      inlineSourceMap: true,
      rootDir: join(workshop, 'blocks'),
      outDir: join(workshop, 'out'),
    },
  )
  const bySource = new Map(samples.map((sample) => [sample.source, sample]))
  const broken = new Set<Sample>()
  for (const diagnostic of ts.getPreEmitDiagnostics(program)) {
    const text = ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n  ')
    const { file, start } = diagnostic
    const sample = file === undefined ? undefined : bySource.get(resolve(file.fileName))
    if (file === undefined || start === undefined || sample === undefined) {
      report.problem(file?.fileName ?? 'documents', text)
      continue
    }
    // JavaScript is not asked for types that it cannot write.
    if (sample.source.endsWith('.js') && diagnostic.code >= 7005 && diagnostic.code <= 7053) continue
    broken.add(sample)
    const line = file.getLineAndCharacterOfPosition(start).line + 1
    report.problem(`${sample.document}:${line}`, `TS${diagnostic.code} ${text}`)
  }
  program.emit()
  return samples.filter((sample) => !broken.has(sample))
}

interface Closeable {
  close(): Promise<void>
}

async function startRelay(): Promise<Closeable> {
  const entry = pathToFileURL(join(REPOSITORY, 'relay-server/dist/index.js')).href
  const { createRelay } = (await import(entry)) as {
    createRelay(options: { host: string; port: number }): Promise<Closeable>
  }
  return createRelay({ host: '127.0.0.1', port: RELAY_PORT })
}

interface Testnet {
  bootstrap: { host: string; port: number }[]
  destroy(): Promise<void>
}

async function startTestnet(report: Report): Promise<Testnet> {
  try {
    const createTestnet = require('hyperdht/testnet') as (size: number) => Promise<Testnet>
    return await createTestnet(4)
  } catch (error) {
    report.notice(`no local DHT: ${messageOf(error)}`)
    return { bootstrap: [], destroy: async () => {} }
  }
}

async function runAll(samples: Sample[], workshop: string, report: Report): Promise<number> {
  const runnable = samples.filter((sample) => !sample.marks.includes('no-run'))
  if (runnable.length === 0) return 0
  const testnet = await startTestnet(report)
  const preload = pathToFileURL(join(REPOSITORY, 'scripts/lib/loopback.mjs')).href
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    NODE_OPTIONS: '',
    PEERLOG_DOCS_BOOTSTRAP: JSON.stringify(testnet.bootstrap),
  }
  try {
    for (const [index, sample] of runnable.entries()) {
      const folder = join(workshop, 'run', String(index))
      mkdirSync(join(folder, 'home'), { recursive: true })
      let relay: Closeable | undefined
      try {
        if (sample.marks.includes('run=relay')) relay = await startRelay()
        const result = await run(
          process.execPath,
          ['--enable-source-maps', '--unhandled-rejections=strict', `--import=${preload}`, sample.output],
          { cwd: folder, env: { ...env, HOME: join(folder, 'home') }, limitMs: RUN_LIMIT_MS },
        )
        if (result.code !== 0) {
          const how = result.timedOut ? `did not end within ${RUN_LIMIT_MS / 1000} s` : `ended with ${result.code}`
          const said = result.output
            .replaceAll(pathToFileURL(sample.source).href, sample.document)
            .replaceAll(sample.source, sample.document)
          report.problem(sample.place, `${how}\n${said.replaceAll(/^/gm, '    ').trimEnd()}`)
        }
      } catch (error) {
        report.problem(sample.place, `could not be run: ${messageOf(error)}`)
      } finally {
        await relay?.close()
      }
    }
  } finally {
    await testnet.destroy()
  }
  return runnable.length
}

function checkLinks(root: string, report: Report): number {
  const known = new Map<string, Set<string>>()
  const anchorsOf = (document: string) => {
    const seen = known.get(document) ?? anchors(readFileSync(join(root, document), 'utf8'))
    known.set(document, seen)
    return seen
  }
  let count = 0
  for (const document of filesBelow(root, '.', (path) => path.endsWith('.md'))) {
    for (const { line, target } of links(readFileSync(join(root, document), 'utf8'))) {
      if (/^[a-z][a-z\d+.-]*:|^\/\//i.test(target)) continue
      count++
      const place = `${document}:${line}`
      const [path = '', anchor] = decodeURIComponent(target).split('#')
      const file = path === '' ? document : posix.normalize(posix.join(posix.dirname(document), path))
      if (file.startsWith('../') || path.startsWith('/')) {
        report.problem(place, `${target} leads out of the repository`)
      } else if (!existsSync(join(root, file))) {
        report.problem(place, `${target} does not exist`)
      } else if (anchor !== undefined && anchor !== '' && file.endsWith('.md') && statSync(join(root, file)).isFile()) {
        if (!anchorsOf(file).has(anchor)) report.problem(place, `${file} has no heading for #${anchor}`)
      }
    }
  }
  return count
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { root: { type: 'string', default: REPOSITORY } } })
  const root = resolve(values.root)
  const report = new Report()
  const linkCount = checkLinks(root, report)
  checkBench(root, report)
  if (existsSync(join(root, 'docs/RELAY.md'))) checkRelayOptions(root, report)
  const workshop = makeWorkshop()
  try {
    const samples = collect(root, workshop, report)
    if (!existsSync(join(root, 'README.md'))) report.notice('there is no README.md yet')
    const sound = compile(samples, workshop, report)
    const ran = await runAll(sound, workshop, report)
    report.finish(`documents: ${samples.length} blocks compiled, ${ran} run, ${linkCount} links followed`)
  } finally {
    rmSync(workshop, { recursive: true, force: true })
  }
}

await main()
