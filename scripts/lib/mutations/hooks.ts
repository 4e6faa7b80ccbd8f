/** Module hooks that hand out one source file as a mutation has it. */
import { readFileSync } from 'node:fs'
import type { InitializeHook, LoadHook } from 'node:module'
import tsBlankSpace from 'ts-blank-space'
import { MUTATIONS } from './list.ts'

let target = ''
let source = ''

export const initialize: InitializeHook<{ name: string; root: string }> = ({ name, root }) => {
  const mutation = MUTATIONS.find((known) => known.name === name)
  if (mutation === undefined) return
  target = new URL(mutation.file, root).href
  source = readFileSync(new URL(target), 'utf8')
  for (const { find, replace } of mutation.edits) {
    if (source.split(find).length !== 2)
      throw new Error(`${mutation.file} has not exactly one place that reads: ${find}`)
    source = source.replace(find, () => replace)
  }
}

export const load: LoadHook = (url, context, nextLoad) => {
  if (url !== target) return nextLoad(url, context)
  return { format: 'module', shortCircuit: true, source: tsBlankSpace(source) }
}
