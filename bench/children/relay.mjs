import { createRelay } from 'peerlog-relay'
import { serve } from '../lib/served.mjs'

/** A relay by itself, so that its processor time and memory can be told apart. */
const relay = await createRelay({ port: 0, host: '127.0.0.1' })
serve({ port: relay.port, stats: () => relay.stats(), close: () => relay.close() })
