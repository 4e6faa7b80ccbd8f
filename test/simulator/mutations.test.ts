import { expect, it } from 'vitest'
import { MUTATIONS } from '../../scripts/lib/mutations/list.ts'
import { hunt } from '../../scripts/lib/mutations/run.ts'

const THOROUGH = process.env['PEERLOG_THOROUGH'] === '1'
const DEVICES = 8
/** Those that few seeds find; all of them are tried by `scripts/mutations.ts`, and with PEERLOG_THOROUGH=1. */
const QUICK = ['unsigned', 'future', 'claims-kept', 'digest-once']
const SEEDS = THOROUGH ? 100 : 15

it.each(MUTATIONS.filter(({ name }) => THOROUGH || QUICK.includes(name)))(
  'finds that $breaks',
  { timeout: 600_000 },
  async ({ name }) => {
    expect((await hunt(name, SEEDS, DEVICES)).seed).not.toBeNull()
  },
)

it('finds nothing in sources that are as they are', async () => {
  expect(await hunt('none', SEEDS, DEVICES)).toEqual({ seed: null })
})
