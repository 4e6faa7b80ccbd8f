/** The files of each decoder, by its name: every branch that rejects in them must be taken. */
export const COVERED: Readonly<Record<string, readonly string[]>> = {
  'session messages': ['src/broadcast/messages.ts', 'src/base/codec.ts'],
  runs: ['src/event/run.ts', 'src/base/codec.ts'],
  'fork proofs': ['src/event/fork.ts', 'src/base/codec.ts'],
  events: ['src/event/event.ts', 'src/base/codec.ts'],
  'sealed events': ['src/event/event.ts', 'src/base/codec.ts'],
  data: ['src/event/data.ts'],
  subjects: ['src/event/subject.ts'],
  'hyperswarm channels': ['src/transport/hyperswarm/frames.ts'],
  paths: ['src/transport/paths/frames.ts', 'src/base/codec.ts'],
  'relay frames': ['relay-server/src/frames.ts'],
  'relay streams': ['src/transport/relay/message-lengths.ts'],
  'relay cards': ['src/transport/relay/rendezvous.ts'],
  'relay cluster': ['relay-server/src/cluster/bus-frames.ts'],
  'relay tokens': ['relay-server/src/tokens.ts'],
  'datagram messages': ['src/broadcast/gossip/messages.ts', 'src/broadcast/gossip/place.ts', 'src/base/codec.ts'],
  datagrams: ['src/broadcast/gossip/envelope.ts', 'src/broadcast/gossip/messages.ts', 'src/base/codec.ts'],
  'Bloom filters': ['src/reconcile/bloom/bloom-filter.ts', 'src/base/codec.ts'],
  'range messages': ['src/reconcile/range/message-reader.ts'],
  // It rejects nothing: whatever a proxy writes, there is an address.
  'forwarded addresses': [],
}
