import { DATA, EVENTS, SEALED_EVENTS, SUBJECTS_OF_CALLERS } from './decoders/events.ts'
import { DATAGRAMS, ENVELOPES, FILTERS } from './decoders/datagrams.ts'
import { CARDS, MUX_FRAMES, PATH_FRAMES, STREAM_LENGTHS } from './decoders/links.ts'
import { FORK_PROOFS, RUNS } from './decoders/logs.ts'
import { MESSAGES } from './decoders/messages.ts'
import { RANGES } from './decoders/ranges.ts'
import { BUS_MESSAGES, FORWARDED, RELAY_FRAMES, TOKENS } from './decoders/relay.ts'
import type { Decoder } from './fuzz.ts'

/** Every decoder of bytes from outside. A new one gets its entry here and its files in `covered.ts`. */
export const DECODERS: readonly Decoder[] = [
  MESSAGES,
  RUNS,
  FORK_PROOFS,
  EVENTS,
  SEALED_EVENTS,
  DATA,
  SUBJECTS_OF_CALLERS,
  MUX_FRAMES,
  PATH_FRAMES,
  RELAY_FRAMES,
  STREAM_LENGTHS,
  CARDS,
  BUS_MESSAGES,
  TOKENS,
  FORWARDED,
  DATAGRAMS,
  ENVELOPES,
  FILTERS,
  RANGES,
]
