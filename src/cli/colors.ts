import picocolors from 'picocolors'

/** `isTTY` is not there at all on what is no terminal. */
interface Stream {
  readonly isTTY?: boolean | undefined
}

export type Colors = ReturnType<typeof picocolors.createColors>

/** The colours for a stream: none at all where they are not wanted. */
export function colorsFor(stream: Stream, flag: boolean): Colors {
  return picocolors.createColors(wantsColor(stream, flag))
}

/** https://no-color.org and https://force-color.org; without them, colour is for terminals. */
function wantsColor(stream: Stream, flag: boolean): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env
  if (!flag || (NO_COLOR !== undefined && NO_COLOR !== '')) return false
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '') return FORCE_COLOR !== '0'
  return stream.isTTY === true && TERM !== 'dumb'
}
