/** A hook of Node's module loader: files that are decoders tell which of their branches are taken. */
import type { LoadHook } from 'node:module'
import { instrument } from './branches.ts'

let files: ReadonlySet<string> = new Set()

export function initialize(data: { urls: string[] }): void {
  files = new Set(data.urls)
}

export const load: LoadHook = async (url, context, nextLoad) => {
  const loaded = await nextLoad(url, context)
  if (!files.has(url) || typeof loaded.source !== 'string') return loaded
  const tell = (branches: unknown): string => `globalThis.peerlogBranches.of(${JSON.stringify([url, branches])})`
  return { ...loaded, source: instrument(loaded.source, tell) }
}
