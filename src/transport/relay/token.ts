import { MAX_TOKEN_CHARACTERS } from './limits.ts'

/** What a relay that lets in only some is shown; a function is asked before every connection. */
export type RelayToken = string | (() => string | Promise<string>)

/** Headers to open a WebSocket with. Rejects with an error for people when the token can't be had or is none. */
export async function tokenHeaders(token: RelayToken | undefined): Promise<Record<string, string>> {
  if (token === undefined) return {}
  let text: unknown
  try {
    text = typeof token === 'string' ? token : await token()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`relayToken failed: ${why}`, { cause })
  }
  if (!isToken(text)) throw new Error('relayToken gave no token: it must be a text without spaces, in ASCII')
  return { Authorization: `Bearer ${text}` }
}

/** Whether it can stand in an HTTP header as a bearer token. */
export function isToken(text: unknown): text is string {
  return typeof text === 'string' && text.length <= MAX_TOKEN_CHARACTERS && /^[\x21-\x7e]+$/.test(text)
}

/** What the relay's refusal of a WebSocket means, and what to do about it. */
export function refusalText(status: number, hasToken: boolean): string {
  switch (status) {
    case 401:
      return hasToken
        ? 'the relay does not accept the token (401): get a new one from whoever runs it, and give it as relayToken (--relay-token)'
        : 'the relay wants a token (401): get one from whoever runs it, and give it as relayToken (--relay-token)'
    case 403:
      return hasToken
        ? 'the token is not good for this (403): ask whoever runs the relay for one that allows it'
        : 'the relay does not let us in (403): ask whoever runs it for a token, and give it as relayToken (--relay-token)'
    case 503:
      return 'the relay is full or closing (503)'
    default:
      return `it answers HTTP ${status} instead of a WebSocket: check that the URL is a relay's`
  }
}
