import { readFileSync } from 'node:fs'

/** The lines of the text that the demo deals out. */
export function textLines(): string[] {
  return readFileSync(new URL('text.txt', import.meta.url), 'utf8')
    .trimEnd()
    .split('\n')
}
