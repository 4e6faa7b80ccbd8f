/**
 * Checks what would be published, for both packages: that the tarballs hold what `exports`, `bin` and `files` promise
 * and nothing else, that types resolve as published (publint, attw), that the entry points' declarations mention no
 * untyped dependency, and that an installation of the two tarballs into an empty folder can be imported, run and compiled
 * against. Wants built packages.
 */
import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, posix } from 'node:path'
import { REPOSITORY } from './lib/files.ts'
import { run } from './lib/processes.ts'
import { messageOf, Report } from './lib/report.ts'

interface Manifest {
  name: string
  version: string
  files?: string[]
  bin?: Record<string, string>
  exports?: Record<string, string | Record<string, string>>
}

interface Packed {
  folder: string
  manifest: Manifest
  files: string[]
  tarball: string
}

const INSTALL_LIMIT_MS = 5 * 60_000
const STEP_LIMIT_MS = 2 * 60_000
/** Dependencies without types of their own, or with types their users need not install. */
const UNTYPED =
  /\b(?:from|import|require|types=|module)\s*\(?\s*['"](hyperswarm|hyperdht|hypercore-crypto|blake2b|sodium-universal|better-sqlite3|ws|@hyperswarm\/[\w-]+)(?:\/[^'"]*)?['"]/
const UNWANTED =
  /(?:^|\/)(?:tests?|__tests__|bench|scripts|node_modules)\/|\.(?:test|spec|bench)\.|\.tsbuildinfo$|\.log$/

const report = new Report()
const bin = (name: string) => join(REPOSITORY, 'node_modules/.bin', name)
const indent = (text: string) => text.trimEnd().replaceAll(/^/gm, '    ')

async function pack(folder: string, into: string): Promise<Packed | undefined> {
  const cwd = join(REPOSITORY, folder)
  const manifest = JSON.parse(readFileSync(join(cwd, 'package.json'), 'utf8')) as Manifest
  const args = [
    'pack',
    '--json',
    '--ignore-scripts',
    '--loglevel=error',
    '--workspaces=false',
    `--pack-destination=${into}`,
  ]
  const result = await run('npm', args, { cwd, limitMs: STEP_LIMIT_MS })
  try {
    const [packed] = Object.values(
      JSON.parse(result.stdout) as Record<string, { filename: string; files: { path: string }[] }>,
    )
    if (result.code !== 0 || packed === undefined) throw new Error(result.output)
    return {
      folder,
      manifest,
      files: packed.files.map((file) => file.path).toSorted(),
      tarball: join(into, packed.filename),
    }
  } catch {
    report.problem(manifest.name, `npm pack failed\n${indent(result.output)}`)
    return undefined
  }
}

/** The files that the manifest promises by name. */
function promised(manifest: Manifest): { path: string; by: string }[] {
  const paths: { path: string; by: string }[] = []
  for (const [name, path] of Object.entries(manifest.bin ?? {})) paths.push({ path, by: `bin "${name}"` })
  for (const [name, target] of Object.entries(manifest.exports ?? {})) {
    for (const path of typeof target === 'string' ? [target] : Object.values(target)) {
      paths.push({ path, by: `exports "${name}"` })
    }
  }
  for (const name of ['README.md', 'LICENSE']) paths.push({ path: name, by: 'every package' })
  return paths.map(({ path, by }) => ({ path: posix.normalize(path), by }))
}

function checkContents({ folder, manifest, files }: Packed): void {
  const { name } = manifest
  const present = new Set(files)
  const read = (path: string) => readFileSync(join(REPOSITORY, folder, path), 'utf8')

  for (const { path, by } of promised(manifest)) {
    if (!present.has(path)) report.problem(name, `${path}, promised by ${by}, is not in the package`)
  }
  for (const entry of (manifest.files ?? []).filter((name) => !name.startsWith('!'))) {
    if (!files.some((path) => path === entry || path.startsWith(`${entry}/`))) {
      report.problem(name, `${entry}, promised by files, is not in the package`)
    }
  }
  for (const path of Object.values(manifest.bin ?? {}).map((entry) => posix.normalize(entry))) {
    if (present.has(path) && !read(path).startsWith('#!/usr/bin/env node\n')) {
      report.problem(name, `${path} does not begin with #!/usr/bin/env node`)
    }
  }

  for (const path of files) {
    if (UNWANTED.test(path)) report.problem(name, `${path} has no business in the package`)
    const [, module] = /^dist\/(.*)\.(?:d\.ts|js)$/.exec(path) ?? []
    if (module !== undefined && !existsSync(join(REPOSITORY, folder, 'src', `${module}.ts`))) {
      report.problem(name, `${path} was left behind by an older build; run: npm run clean`)
    }
    if (/\.(?:js|d\.ts)$/.test(path)) {
      const [, map] = /\/\/# sourceMappingURL=(?!data:)(\S+)\s*$/.exec(read(path)) ?? []
      if (map !== undefined && !present.has(posix.join(posix.dirname(path), map))) {
        report.problem(name, `${path} points to ${map}, which is not in the package`)
      }
    }
    if (path.endsWith('.map')) checkMap(name, path, read(path), present)
  }
}

function checkMap(name: string, path: string, text: string, present: ReadonlySet<string>): void {
  const map = JSON.parse(text) as { sources: string[]; sourceRoot?: string; sourcesContent?: (string | null)[] }
  for (const [index, source] of map.sources.entries()) {
    const target = posix.join(posix.dirname(path), map.sourceRoot ?? '', source)
    if (typeof map.sourcesContent?.[index] !== 'string' && !present.has(target)) {
      report.problem(name, `${path} points to ${target}, which is neither in the map nor in the package`)
    }
  }
}

/** Follows the declarations from the entry points and looks for packages that have none. */
function checkDeclarations({ folder, manifest }: Packed): void {
  const seen = new Set<string>()
  const visit = (path: string, from: string) => {
    if (seen.has(path)) return
    seen.add(path)
    if (!existsSync(join(REPOSITORY, folder, path))) {
      // A missing entry point has been reported.
      if (from !== '') report.problem(manifest.name, `${from} needs ${path}, which does not exist`)
      return
    }
    const text = readFileSync(join(REPOSITORY, folder, path), 'utf8')
    const [, untyped] = UNTYPED.exec(text) ?? []
    if (untyped !== undefined) report.problem(manifest.name, `${path}, part of the public types, mentions ${untyped}`)
    for (const [, target = ''] of text.matchAll(/(?:from|import\(?)\s*['"](\.[^'"]+)['"]/g)) {
      const declaration = target.replace(/(?:\.d)?\.[jt]s$/, '.d.ts')
      visit(posix.join(posix.dirname(path), declaration), path)
    }
  }
  for (const target of Object.values(manifest.exports ?? {})) {
    if (typeof target !== 'string' && target['types'] !== undefined) visit(posix.normalize(target['types']), '')
  }
}

async function checkWith(tool: string, args: string[], name: string): Promise<void> {
  const result = await run(bin(tool), args, {
    cwd: REPOSITORY,
    limitMs: STEP_LIMIT_MS,
    env: { ...process.env, NO_COLOR: '1' },
  })
  if (result.code !== 0) report.problem(name, `${tool} is not content\n${indent(result.output)}`)
}

const CONSUMER = `
import * as peerlog from 'peerlog'
import * as reconcile from 'peerlog/reconcile'
import * as testing from 'peerlog/testing'
import * as relay from 'peerlog-relay'

export const everything = [peerlog, reconcile, testing, relay]
export type Database = Awaited<ReturnType<typeof peerlog.open>>
export type Relay = Awaited<ReturnType<typeof relay.createRelay>>
`

const IMPORTER = `
const wanted = { peerlog: ['open', 'deriveTopic', 'createTransport', 'SyncBroadcaster'], 'peerlog/reconcile': ['ItemIndex', 'RangeReconciler', 'fingerprintOf'], 'peerlog/testing': ['transportConformance', 'memoryNetwork'], 'peerlog-relay': ['createRelay'] }
let missing = 0
for (const [name, exports] of Object.entries(wanted)) {
  const module = await import(name)
  for (const key of exports) {
    if (typeof module[key] !== 'function') { console.error(name + ' exports no function ' + key); missing++ }
  }
  if ('default' in module) { console.error(name + ' has a default export'); missing++ }
}
// Importing a library starts nothing: without process.exit, this ends by itself.
process.exitCode = missing === 0 ? 0 : 1
`

async function checkInstallation(packages: Packed[], folder: string): Promise<void> {
  const cwd = join(folder, 'consumer')
  mkdirSync(cwd)
  writeFileSync(join(cwd, 'package.json'), '{ "name": "consumer", "private": true, "type": "module" }\n')
  // Native code is not what is checked here: the addon that this repository built is copied in below.
  const flags = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const installed = await run('npm', ['install', ...flags, ...packages.map(({ tarball }) => tarball)], {
    cwd,
    limitMs: INSTALL_LIMIT_MS,
  })
  if (installed.code !== 0) {
    report.problem('installation', `npm install failed\n${indent(installed.output)}`)
    return
  }
  await provideAddon(cwd)

  for (const { manifest } of packages) {
    for (const name of Object.keys(manifest.bin ?? {})) {
      const path = join(cwd, 'node_modules/.bin', name)
      try {
        accessSync(path, constants.X_OK)
      } catch {
        report.problem(manifest.name, `${name} is not executable after installation`)
        continue
      }
      const result = await run(path, ['--version'], { cwd, limitMs: STEP_LIMIT_MS })
      if (result.code !== 0 || !result.stdout.includes(manifest.version)) {
        report.problem(manifest.name, `${name} --version does not say ${manifest.version}\n${indent(result.output)}`)
      }
    }
  }

  writeFileSync(join(cwd, 'import.js'), IMPORTER)
  const imported = await run(process.execPath, ['import.js'], { cwd, limitMs: 20_000 })
  if (imported.code !== 0) {
    const how = imported.timedOut ? 'importing the packages keeps the process alive' : 'the packages cannot be imported'
    report.problem('installation', `${how}\n${indent(imported.output)}`)
  }

  const nodeTypes = join(cwd, 'node_modules/@types/node')
  if (!existsSync(nodeTypes)) {
    mkdirSync(dirname(nodeTypes), { recursive: true })
    symlinkSync(join(REPOSITORY, 'node_modules/@types/node'), nodeTypes, 'dir')
  }
  writeFileSync(join(cwd, 'consumer.ts'), CONSUMER)
  const args =
    '--noEmit --strict --target es2022 --lib es2023,esnext.disposable --module nodenext --moduleResolution nodenext --skipLibCheck false --types node'
  const compiled = await run(bin('tsc'), [...args.split(' '), 'consumer.ts'], { cwd, limitMs: STEP_LIMIT_MS })
  if (compiled.code !== 0)
    report.problem('installation', `a user's program does not compile\n${indent(compiled.output)}`)
}

async function provideAddon(cwd: string): Promise<void> {
  const name = 'better-sqlite3'
  const addon = 'build/Release/better_sqlite3.node'
  const theirs = join(cwd, 'node_modules', name)
  const ours = join(REPOSITORY, 'node_modules', name)
  if (!existsSync(theirs)) return
  const version = (folder: string) =>
    (JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest).version
  if (existsSync(join(ours, addon)) && version(ours) === version(theirs)) {
    mkdirSync(dirname(join(theirs, addon)), { recursive: true })
    copyFileSync(join(ours, addon), join(theirs, addon))
  } else {
    const rebuilt = await run('npm', ['rebuild', name], { cwd, limitMs: INSTALL_LIMIT_MS })
    if (rebuilt.code !== 0) report.problem('installation', `${name} does not build\n${indent(rebuilt.output)}`)
  }
}

const folder = mkdtempSync(join(tmpdir(), 'peerlog-package-'))
try {
  const packed = await Promise.all(['', 'relay-server'].map((path) => pack(path, folder)))
  const packages = packed.filter((one) => one !== undefined)
  for (const one of packages) {
    checkContents(one)
    checkDeclarations(one)
    await checkWith('publint', ['--strict', one.tarball], one.manifest.name)
    await checkWith('attw', [one.tarball, '--profile', 'esm-only', '--no-color'], one.manifest.name)
  }
  if (packages.length === 2) await checkInstallation(packages, folder)
  const counts = packages.map(({ manifest, files }) => `${manifest.name} ${files.length} files`)
  report.finish(`packages: ${counts.join(', ')}`)
} catch (error) {
  report.problem('packages', messageOf(error))
  report.finish('')
} finally {
  rmSync(folder, { recursive: true, force: true })
}
