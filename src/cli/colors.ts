import type { WriteStream } from 'node:tty'
import picocolors from 'picocolors'

export type Colors = ReturnType<typeof picocolors.createColors>

/** The colours for a stream: none at all where they are not wanted. */
export function colorsFor(stream: WriteStream, flag: boolean): Colors {
  return picocolors.createColors(wantsColor(stream, flag))
}

/** https://no-color.org and https://force-color.org; without them, colour is for terminals. */
function wantsColor(stream: WriteStream, flag: boolean): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env
  if (!flag || (NO_COLOR !== undefined && NO_COLOR !== '')) return false
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '') return FORCE_COLOR !== '0'
  // Not a boolean everywhere: undefined where the stream is no terminal.
  return Boolean(stream.isTTY) && TERM !== 'dumb'
}
