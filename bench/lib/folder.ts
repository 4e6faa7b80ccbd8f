import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const folders = new Set<string>()

/** Calls with the path of an empty folder that is gone afterwards. */
export async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(path.join(tmpdir(), 'peerlog-bench-'))
  folders.add(folder)
  try {
    return await work(folder)
  } finally {
    remove(folder)
  }
}

/** Removes every folder at once, whoever works in it. */
export function removeFolders(): void {
  for (const folder of folders) remove(folder)
}

function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  folders.delete(folder)
}
