/** Control characters, and those that reorder or break lines: what must not reach a terminal from somebody else's text. */
const UNSAFE = /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu
const SHORT: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\b': '\\b', '\f': '\\f', '\v': '\\v', '\0': '\\0' }

/** The text on one line, with visible escapes where it would move the cursor, change colours or hide something. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (character) => {
    if (character === '\t') return character
    const code = character.codePointAt(0) ?? 0
    return SHORT[character] ?? (code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`)
  })
}

/** One line of JSON that is safe to print: the same value, with the characters that JSON leaves as they are escaped. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value).replace(UNSAFE, (character) => {
    const code = character.codePointAt(0) ?? 0
    return `\\u${code.toString(16).padStart(4, '0')}`
  })
}
