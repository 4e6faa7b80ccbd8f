import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { deriveDatabaseKeys } from '../../src/event/keys.ts'
import { deriveTopic } from '../../src/topic/topic.ts'
import { readKeys } from '../vectors/vectors.ts'

const SECRET = Uint8Array.from({ length: 32 }, (_, i) => 255 - i)

async function allKeys(databaseId: string, secret?: string | Uint8Array): Promise<string[]> {
  const { tag, topic, admission, seal } = await deriveDatabaseKeys(databaseId, secret)
  return [tag, topic, admission, seal].filter((key) => key !== null).map(toHex)
}

describe('deriveDatabaseKeys', () => {
  // test/vectors/check.py computes the same with hashlib and OpenSSL's Argon2id.
  it.each(readKeys())('gives the golden vector of $databaseId, $passphrase, $secret', async (vector) => {
    const secret = vector.secret === undefined ? vector.passphrase : Buffer.from(vector.secret, 'hex')
    const keys = await deriveDatabaseKeys(vector.databaseId, secret)
    expect({
      tag: toHex(keys.tag),
      topicKey: keys.topic && toHex(keys.topic),
      admission: toHex(keys.admission),
      datagrams: toHex(keys.datagrams),
      seal: keys.seal && toHex(keys.seal),
      topic: toHex(deriveTopic(vector.databaseId, keys.topic ?? undefined)),
    }).toEqual({
      tag: vector.tag,
      topicKey: vector.topicKey,
      admission: vector.admission,
      datagrams: vector.datagrams,
      seal: vector.seal,
      topic: vector.topic,
    })
  })

  it('gives keys that all differ, from each other and between databases and secrets', async () => {
    const sets = await Promise.all([
      allKeys('one'),
      allKeys('two'),
      allKeys('one', SECRET),
      allKeys('two', SECRET),
      allKeys('one', 'passphrase'),
      allKeys('two', 'passphrase'),
      allKeys('one', 'Passphrase'),
    ])
    // The tag stands for the id alone.
    const tags = sets.map((set) => set[0])
    expect(new Set(tags).size).toBe(2)
    const others = sets.flatMap((set) => set.slice(1))
    expect(others).toHaveLength(2 + 5 * 3)
    expect(new Set([...tags, ...others]).size).toBe(2 + others.length)
    for (const key of others) expect(key).toHaveLength(64)
  })

  it('has no topic key and no seal without a secret', async () => {
    const keys = await deriveDatabaseKeys('one')
    expect([keys.topic, keys.seal]).toEqual([null, null])
    expect(keys.admission).toHaveLength(32)
  })

  it('gives the same keys however the passphrase was typed', async () => {
    const composed = await allKeys('one', 'na\u00efve \u212b')
    expect(await allKeys('one', 'nai\u0308ve A\u030a')).toEqual(composed)
    // Only canonical equivalence is folded: NFC, not NFKC.
    expect(await allKeys('one', '\ufb01')).not.toEqual(await allKeys('one', 'fi'))
  })

  it('takes the bytes of a text and the text itself for different secrets', async () => {
    const text = 'x'.repeat(32)
    expect(await allKeys('one', Buffer.from(text))).not.toEqual(await allKeys('one', text))
  })

  it('does not change the secret', async () => {
    const secret = SECRET.slice()
    await deriveDatabaseKeys('one', secret)
    expect(secret).toEqual(SECRET)
  })

  it.each([
    ['empty', ''],
    ['a lone surrogate', 'pass\ud800word'],
    ['0 bytes', new Uint8Array(0)],
    ['31 bytes', new Uint8Array(31)],
    ['33 bytes', new Uint8Array(33)],
  ])('refuses a secret: %s', async (_, secret) => {
    await expect(deriveDatabaseKeys('one', secret)).rejects.toMatchObject({
      name: 'PeerlogError',
      code: 'INVALID_ARGUMENT',
    })
  })

  it.each([null, 5, {}, [], new ArrayBuffer(32)])('refuses a secret of another type: %s', async (secret) => {
    await expect(deriveDatabaseKeys('one', secret as never)).rejects.toThrow(TypeError)
  })

  it('refuses ids that deriveTopic refuses', async () => {
    await expect(deriveDatabaseKeys('')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(deriveDatabaseKeys('\ud800')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(deriveDatabaseKeys(7 as never)).rejects.toThrow(TypeError)
  })
})
