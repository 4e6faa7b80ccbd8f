export { createRelay } from './relay.ts'
export type { Relay, RelayLogger, RelayOptions, RelayStats } from './relay.ts'
export type { TlsOptions } from './listener.ts'
