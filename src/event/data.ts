import { isUtf8 } from 'node:buffer'
import { PeerlogError } from '../base/errors.ts'
import { asBuffer } from '../base/bytes.ts'

/** Data as it stands in an event's body. */
export interface EncodedData {
  json: boolean
  bytes: Buffer
}

/**
 * JSON text, or bytes as they are. Only values that come back as they went in, by JSON's own rules, are accepted.
 *
 * @throws {PeerlogError} `INVALID_DATA` for what JSON can't carry.
 */
export function encodeData(data: unknown): EncodedData {
  if (data instanceof Uint8Array) return { json: false, bytes: Buffer.from(data) }
  let text: string | undefined
  try {
    text = JSON.stringify(data)
  } catch (cause) {
    throw new PeerlogError(
      'INVALID_DATA',
      `the data is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        hint: 'Append plain objects, arrays, strings, numbers, booleans and null, or a Uint8Array',
        cause,
      },
    )
  }
  if (text === undefined) {
    throw new PeerlogError('INVALID_DATA', `the data is not JSON: ${typeof data}`, {
      hint: 'Append plain objects, arrays, strings, numbers, booleans and null, or a Uint8Array',
    })
  }
  return { json: true, bytes: Buffer.from(text, 'utf8') }
}

/** The value that was appended, or undefined when an author wrote bytes that are no JSON text. */
export function decodeData(json: boolean, bytes: Uint8Array): unknown {
  if (!json) return new Uint8Array(bytes)
  if (!isUtf8(bytes)) return undefined
  try {
    return JSON.parse(asBuffer(bytes).toString('utf8')) as unknown
  } catch {
    return undefined
  }
}
