/**
 * HTML and SVG from templates in which every value is escaped, unless it is HTML itself. What a value can hold is text
 * anywhere but in a tag's or attribute's name: attributes are written in double quotes.
 */
export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export type Content = Html | string | number | null | false | readonly Content[]

/** A template's text with its values escaped; `null` and `false` are nothing. Indentation is left out. */
export function markup(strings: TemplateStringsArray, ...values: readonly Content[]): Html {
  let text = ''
  for (const [i, literal] of strings.entries()) {
    text += literal.replaceAll(/\n\s+/g, '\n')
    if (i < values.length) text += render(values[i] as Content)
  }
  return new Html(text)
}

function render(value: Content): string {
  if (value === null || value === false) return ''
  if (value instanceof Html) return value.text
  if (typeof value === 'string') return escapeText(value)
  if (typeof value === 'number') return String(value)
  return value.map(render).join('')
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Characters that are not seen, or that turn the text around them: they become U+FFFD, so that nothing hides in them. */
const UNSEEN = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

/** Text that means itself in HTML, between tags and in a quoted attribute. */
export function escapeText(text: string): string {
  return visible(text).replaceAll(/[&<>"']/g, (character) => ENTITIES[character] as string)
}

/** Well-formed text in which every character shows. */
export function visible(text: string): string {
  return text.toWellFormed().replaceAll(UNSEEN, (character) => (/\s/.test(character) ? ' ' : '\ufffd'))
}

/** JSON that can stand in a script element: no text in it ends the element or opens a comment. */
export function jsonIn(value: unknown): Html {
  return new Html(JSON.stringify(value).replaceAll(/[<>&\u2028\u2029]/g, unicodeEscape))
}

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
