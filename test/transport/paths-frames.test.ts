import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { hash } from '../../src/base/hash.ts'
import type { Frame } from '../../src/transport/paths/frames.ts'
import * as paths from '../../src/transport/paths/frames.ts'
import { connectionHash, connectionId } from '../../src/transport/paths/identity.ts'
import type { PathFrameVector } from '../vectors/vectors.ts'
import { readPaths } from '../vectors/vectors.ts'

const TYPES = {
  ATTACHED: paths.ATTACHED,
  ACK: paths.ACK,
  DATA: paths.DATA,
  PART: paths.PART,
  REJECT: paths.REJECT,
  USE: paths.USE,
  PING: paths.PING,
  PONG: paths.PONG,
} as const

const vectors = readPaths()
const bytesOf = (hex: string | undefined): Buffer => Buffer.from(hex as string, 'hex')

/** The frame that a vector describes, and the bytes that are made of it. */
function made({ frame, fields }: PathFrameVector): { frame: Frame; bytes: Buffer } {
  const { count, received, number, reason } = fields as Required<PathFrameVector['fields']>
  switch (frame) {
    case 'HELLO': {
      const incarnation = bytesOf(fields.incarnation)
      const version = fields.version as number
      return { frame: { type: paths.HELLO, version, incarnation }, bytes: paths.encodeHello(incarnation) }
    }
    case 'BEGIN':
      return { frame: { type: paths.BEGIN, count }, bytes: paths.encodeBegin(count) }
    case 'ATTACH': {
      const id = bytesOf(fields.id)
      return { frame: { type: paths.ATTACH, id, received }, bytes: paths.encodeAttach(id, received) }
    }
    case 'ATTACHED':
    case 'ACK':
      return { frame: { type: TYPES[frame], received }, bytes: paths.encodeReceived(TYPES[frame], received) }
    case 'DATA':
    case 'PART': {
      const message = fields.zeros === undefined ? bytesOf(fields.message) : Buffer.alloc(fields.zeros)
      return {
        frame: { type: TYPES[frame], number, message },
        bytes: paths.encodeNumbered(TYPES[frame], number, message),
      }
    }
    case 'CLOSE':
      return { frame: { type: paths.CLOSE, number, reason }, bytes: paths.encodeClose(number, reason) }
    case 'END':
      return { frame: { type: paths.END, reason }, bytes: paths.encodeEnd(reason) }
    case 'REJECT':
    case 'USE':
    case 'PING':
    case 'PONG':
      return { frame: { type: TYPES[frame] }, bytes: paths.encodeBare(TYPES[frame]) }
    default:
      throw new Error(`there is no frame ${frame}`)
  }
}

describe('golden frames of paths', () => {
  it.each(vectors.frames)('$name', (vector) => {
    const { frame, bytes } = made(vector)
    expect(toHex(hash(bytes))).toBe(vector.hash)
    expect(toHex(bytes).slice(0, vector.bytes.length)).toBe(vector.bytes)
    const decoded = paths.decodeFrame(bytes)
    // Not compared as objects where there are millions of bytes: that takes seconds.
    if (frame.type !== paths.DATA && frame.type !== paths.PART) expect(decoded).toEqual(frame)
    else {
      expect(decoded).toMatchObject({ type: frame.type, number: frame.number })
      expect(frame.message.equals((decoded as typeof frame).message)).toBe(true)
    }
  })

  it.each(vectors.refused)('$name is refused', ({ bytes }) => {
    expect(paths.decodeFrame(bytesOf(bytes))).toBeTypeOf('string')
  })

  it.each(vectors.connections)('the connection that began on the path $pathHash', ({ pathHash, id, handshakeHash }) => {
    expect(toHex(connectionId(bytesOf(pathHash)))).toBe(id)
    expect(toHex(connectionHash(bytesOf(pathHash)))).toBe(handshakeHash)
  })
})
