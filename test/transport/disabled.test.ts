import { test } from 'vitest'
import { transportConformance } from '../../src/testing.ts'
import { disabledTransport } from '../../src/transport/disabled.ts'

transportConformance({
  test,
  name: 'disabled',
  capabilities: { connects: false },
  setup: async () => ({ createTransport: disabledTransport, teardown: async () => {} }),
})
