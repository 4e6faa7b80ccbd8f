import type { ChildProcessByStdio } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { afterEach, describe, expect, it } from 'vitest'
import type { ModelItem } from '../reconcile/models.ts'
import { only, pairOf } from '../reconcile/pairs.ts'

const running = new Set<ChildProcessByStdio<Writable, Readable, null>>()

afterEach(() => {
  for (const child of running) child.kill('SIGKILL')
  running.clear()
})

/** A harness as a process of its own. */
class Harness {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #lines: AsyncIterator<string>

  constructor(items: readonly ModelItem[], env: Record<string, string> = {}) {
    const script = path.join(import.meta.dirname, 'negentropy-harness.ts')
    this.#child = spawn(process.execPath, ['--import', import.meta.resolve('ts-blank-space/register'), script], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    })
    running.add(this.#child)
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
    this.tell(...items.map(({ timestamp, id }) => `item,${timestamp},${id.toString('hex')}`), 'seal')
  }

  tell(...lines: string[]): void {
    this.#child.stdin.write(lines.map((line) => `${line}\n`).join(''))
  }

  async line(): Promise<string> {
    const { done, value } = await this.#lines.next()
    if (done === true) throw new Error('the harness has ended')
    return value
  }

  /** It ends by itself when there is nothing more to come. */
  async end(): Promise<number> {
    this.#child.stdin.end()
    const [code] = (await once(this.#child, 'close')) as [number]
    running.delete(this.#child)
    return code
  }
}

/** What the first has found, when it says that it is done. */
async function reconcile(
  client: Harness,
  server: Harness,
): Promise<{ have: string[]; need: string[]; messages: number }> {
  const found = { have: [] as string[], need: [] as string[], messages: 0 }
  client.tell('initiate')
  for (;;) {
    const line = await client.line()
    const [what, hex] = line.split(',') as [string, string]
    if (what === 'done') return found
    if (what === 'have' || what === 'need') found[what].push(hex)
    else {
      expect(what).toBe('msg')
      server.tell(line)
      const answer = await server.line()
      expect(answer).toMatch(/^msg,(?:[0-9a-f]{2})+$/)
      client.tell(answer)
      found.messages += 2
    }
  }
}

describe('the harness', () => {
  it('says the published bytes', async () => {
    const empty = new Harness([])
    empty.tell('initiate')
    expect(await empty.line()).toBe('msg,6100000200')
    const one = new Harness([{ timestamp: 12_345n, id: Buffer.alloc(32, 0xee) }])
    one.tell('initiate')
    expect(await one.line()).toBe(`msg,6100000201${'ee'.repeat(32)}`)
    empty.tell(`msg,6100000201${'ee'.repeat(32)}`)
    expect(await empty.line()).toBe(`need,${'ee'.repeat(32)}`)
    expect(await empty.line()).toBe('done')
    expect([await empty.end(), await one.end()]).toEqual([0, 0])
  })

  it.each([
    ['without limits', {}, {}],
    ['with frames', { FRAMESIZELIMIT: '4096' }, { FRAMESIZELIMIT: '6000' }],
    [
      'with frames as the public ones fill them',
      { FRAMESIZELIMIT: '5000' },
      { FRAMESIZELIMIT: '5000', REFERENCE_FRAMES: '1' },
    ],
  ])('reconciles with another one, %s', async (_, clientEnv, serverEnv) => {
    const { ours, theirs } = pairOf(354)
    expect(only(ours, theirs).length).toBeGreaterThan(300)
    const [client, server] = [new Harness(ours, clientEnv), new Harness(theirs, serverEnv)]
    const { have, need, messages } = await reconcile(client, server)
    expect([...new Set(have)].toSorted()).toEqual(only(ours, theirs))
    expect([...new Set(need)].toSorted()).toEqual(only(theirs, ours))
    expect(messages).toBeGreaterThanOrEqual(4)
    expect([await client.end(), await server.end()]).toEqual([0, 0])
  })
})
