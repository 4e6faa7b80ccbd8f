import { existsSync, readdirSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execFileSync } from 'node:child_process'

/** The root of this repository. */
export const REPOSITORY: string = resolve(dirname(fileURLToPath(import.meta.url)), '../..')

const NOT_OURS = new Set(['node_modules', 'dist', 'coverage', '.git'])

/** The files below a folder that `wanted` accepts, as paths from `root` with forward slashes, sorted. */
export function filesBelow(root: string, folder: string, wanted: (path: string) => boolean): string[] {
  const start = join(root, folder)
  if (!existsSync(start)) return []
  const found: string[] = []
  for (const entry of readdirSync(start, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) {
      if (!NOT_OURS.has(entry.name)) found.push(...filesBelow(root, path, wanted))
    } else if (wanted(path)) {
      found.push(relative(root, join(root, path)).split(sep).join('/'))
    }
  }
  return found.toSorted()
}

/** What git keeps or would keep: tracked files, and new ones that are not ignored. Outside a checkout: all files. */
export function repositoryFiles(root: string): string[] {
  try {
    const out = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 64 * 1024 * 1024,
    })
    return [...new Set(out.split('\0'))].filter((path) => path !== '' && existsSync(join(root, path))).toSorted()
  } catch {
    return filesBelow(root, '.', () => true)
  }
}
