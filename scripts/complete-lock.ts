/**
 * Adds to package-lock.json the platforms that `npm install` left out: packages with one native build per platform are
 * dropped from the lock file where a registry lacks some of them, and `npm ci` then refuses it. What a platform's
 * package is for, its name says. `--check` only reports.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { REPOSITORY } from './lib/files.ts'

interface LockedPackage {
  version?: string
  dev?: boolean
  engines?: Record<string, string>
  optionalDependencies?: Record<string, string>
}

const { values } = parseArgs({
  options: { check: { type: 'boolean' }, root: { type: 'string', default: REPOSITORY } },
})
const file = join(values.root, 'package-lock.json')
const lock = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, LockedPackage> }
const { packages } = lock

/** `@scope/binding-linux-x64-musl` runs on: os linux, cpu x64, libc musl. */
function platform(name: string): { cpu: string[]; libc?: string[]; os: string[] } {
  const [os = '', cpu = '', abi = ''] = name.replace(/^.*\/(?:binding-)?/, '').split('-')
  const libc = os !== 'linux' ? '' : abi.startsWith('musl') ? 'musl' : abi.startsWith('gnu') ? 'glibc' : ''
  return { cpu: [cpu], ...(libc === '' ? {} : { libc: [libc] }), os: [os] }
}

const added: string[] = []
for (const { dev, engines, optionalDependencies = {} } of Object.values(packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const path = `node_modules/${name}`
    if (Object.keys(packages).some((known) => known === path || known.endsWith(`/${path}`))) continue
    if (!/^\d+\.\d+\.\d+/.test(version)) throw new Error(`${name}: "${version}" is not an exact version`)
    const { cpu, libc, os } = platform(name)
    packages[path] = {
      version,
      cpu,
      ...(dev === true ? { dev } : {}),
      ...(libc === undefined ? {} : { libc }),
      license: 'MIT',
      optional: true,
      os,
      ...(engines === undefined ? {} : { engines }),
    } as LockedPackage
    added.push(`${name}@${version}`)
  }
}

if (added.length === 0) {
  console.log('package-lock.json: every platform is there')
} else if (values.check === true) {
  console.error(`package-lock.json lacks ${added.join(', ')}; run: npm run lock`)
  process.exitCode = 1
} else {
  const sorted = Object.entries(packages).toSorted(([a], [b]) => a.localeCompare(b, 'en'))
  writeFileSync(file, `${JSON.stringify({ ...lock, packages: Object.fromEntries(sorted) }, undefined, 2)}\n`)
  console.log(`package-lock.json: added ${added.length} platforms`)
}
