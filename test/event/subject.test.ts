import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_SUBJECT_BYTES } from '../../src/base/limits.ts'
import { checkSubject, parseSubjectPattern, subjectFault } from '../../src/event/subject.ts'
import { holds, subject } from '../arbitraries.ts'

/** What the words of the documentation say, one character at a time, and as slow as it pleases. */
function slowMatch(pattern: string, text: string): boolean {
  return levelsMatch(pattern.split('/'), text.split('/'))
}

function levelsMatch([want, ...wants]: string[], levels: string[]): boolean {
  if (want === undefined) return levels.length === 0
  if (want === '**') {
    return levelsMatch(wants, levels) || (levels.length > 0 && levelsMatch(['**', ...wants], levels.slice(1)))
  }
  return (
    levels.length > 0 && charactersMatch([...want], [...(levels[0] as string)]) && levelsMatch(wants, levels.slice(1))
  )
}

function charactersMatch([want, ...wants]: string[], text: string[]): boolean {
  if (want === undefined) return text.length === 0
  if (want === '*') {
    return charactersMatch(wants, text) || (text.length > 0 && charactersMatch(['*', ...wants], text.slice(1)))
  }
  return text[0] === want && charactersMatch(wants, text.slice(1))
}

const matches = (pattern: string, text: string): boolean => parseSubjectPattern(pattern).matches(text)

describe('subjects', () => {
  it('are accepted when every level has something in it', () => {
    holds(
      fc.property(subject(), (text) => {
        expect(subjectFault(text)).toBe(null)
        checkSubject(text)
      }),
    )
  })

  it.each([
    ['', 'is empty'],
    ['/', 'has an empty level'],
    ['/a', 'has an empty level'],
    ['a/', 'has an empty level'],
    ['a//b', 'has an empty level'],
    ['a*', "contains '*', which is for patterns"],
    ['a\ud800', 'is not well-formed Unicode'],
    ['a\n', 'contains a control character'],
    ['\0', 'contains a control character'],
    ['a\u007f', 'contains a control character'],
    ['a\u0080', 'contains a control character'],
    ['a\u009f', 'contains a control character'],
    ['x'.repeat(MAX_SUBJECT_BYTES + 1), `is longer than ${MAX_SUBJECT_BYTES} bytes`],
    ['é'.repeat(MAX_SUBJECT_BYTES / 2 + 1), `is longer than ${MAX_SUBJECT_BYTES} bytes`],
  ])('refuse %j', (text, fault) => {
    expect(subjectFault(text)).toBe(fault)
    expect(() => checkSubject(text)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })

  it('have exactly the control characters U+0000–001F and U+007F–009F refused, on every Unicode version', () => {
    for (let code = 0; code < 0x3000; code++) {
      const control = code <= 0x1f || (code >= 0x7f && code <= 0x9f)
      if (code === 0x2a || code === 0x2f) continue
      expect(subjectFault(`a${String.fromCharCode(code)}`) !== null).toBe(control)
    }
  })

  it.each([null, undefined, 1, {}, ['a']])('refuse %s', (value) => {
    expect(() => checkSubject(value as never)).toThrow(TypeError)
    expect(() => parseSubjectPattern(value as never)).toThrow(TypeError)
  })
})

describe('subject patterns', () => {
  it.each([
    ['notes/**', 'notes', true],
    ['notes/**', 'notes/a', true],
    ['notes/**', 'notes/a/b', true],
    ['notes/**', 'notesx', false],
    ['notes/**', 'note', false],
    ['**', 'a', true],
    ['**', 'a/b/c', true],
    ['**/b', 'b', true],
    ['**/b', 'a/b', true],
    ['**/b', 'a/b/c', false],
    ['a/**/b', 'a/b', true],
    ['a/**/b', 'a/x/y/b', true],
    ['a/**/b', 'ab', false],
    ['a/**/**/b', 'a/b', true],
    ['**/**', 'a', true],
    ['*', 'a', true],
    ['*', 'a/b', false],
    ['a/*', 'a', false],
    ['a/*', 'a/b', true],
    ['a/*', 'a/b/c', false],
    ['*/*', 'a/b', true],
    ['a*', 'a', true],
    ['*a', 'ba', true],
    ['a*b*c', 'aXbYc', true],
    ['a*b*c', 'abbc', true],
    ['a*b*c', 'ab/c', false],
    ['a**', 'abc', true],
    ['a**', 'a/b', false],
    ['**a', 'b/a', false],
    ['a', 'a', true],
    ['a', 'A', false],
    ['a', 'a/b', false],
    ['a.c', 'abc', false],
    ['😀*', '😀😁', true],
    ['a/**/c/**/e', 'a/b/c/d/c/x/e', true],
    ['**/a/b', 'a/a/b', true],
    ['**/a/*/b', 'a/a/a/b', true],
  ])('%s and %s: %s', (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected)
    expect(slowMatch(pattern, text)).toBe(expected)
  })

  const dense = (wild: string[]): fc.Arbitrary<string> =>
    fc
      .array(
        fc.oneof(
          fc.string({ unit: fc.constantFrom('a', 'b', '😀', ...wild), minLength: 1, maxLength: 4 }),
          ...(wild.length > 0 ? [fc.constant('**')] : []),
        ),
        { minLength: 1, maxLength: 5 },
      )
      .map((levels) => levels.join('/'))

  it('agree with the slow matcher, and so do their prefix and exact form', () => {
    const pair = fc.oneof(
      fc.tuple(dense(['*']), dense([])),
      // Made from the text itself, so that most of them match.
      fc.tuple(dense([]), fc.array(fc.nat({ max: 3 }), { minLength: 16, maxLength: 16 })).map(([text, dice]) => {
        const pattern = text
          .split('/')
          .map((name, i) => (['**', '*', `${name}*`, name] as const)[dice[i % 16] ?? 3] ?? name)
        return [pattern.join('/'), text] as [string, string]
      }),
    )
    let hits = 0
    holds(
      fc.property(pair, ([pattern, text]) => {
        fc.pre(!pattern.includes('***'))
        const parsed = parseSubjectPattern(pattern)
        const expected = slowMatch(pattern, text)
        expect(parsed.matches(text)).toBe(expected)
        expect(parsed.exact).toBe(pattern.includes('*') ? null : pattern)
        if (expected) {
          hits++
          expect(text.startsWith(parsed.prefix)).toBe(true)
        }
      }),
      5000,
    )
    expect(hits).toBeGreaterThan(500)
  })

  it('agree on every short pattern and text there is', () => {
    const words = (alphabet: string, max: number): string[] => {
      const all = ['']
      for (let from = 0, length = 1; length <= max; length++) {
        const to = all.length
        for (let i = from; i < to; i++) for (const letter of alphabet) all.push((all[i] as string) + letter)
        from = to
      }
      return all.slice(1)
    }
    const texts = words('ab/', 5).filter((text) => subjectFault(text) === null)
    for (const pattern of words('a*/', 5)) {
      if (subjectFault(pattern.replaceAll('*', 'x')) !== null || pattern.includes('***')) continue
      const parsed = parseSubjectPattern(pattern)
      for (const text of texts) {
        if (parsed.matches(text) !== slowMatch(pattern, text)) expect([pattern, text]).toBe(slowMatch(pattern, text))
      }
    }
  })

  it.each(['', '/', 'a//b', '/**', '**/', 'a/***', '***', 'a\n*', '\ud83d*', '*'.repeat(513)])(
    'refuse %j',
    (pattern) => {
      expect(() => parseSubjectPattern(pattern)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    },
  )

  it.each([
    ['many stars in one level', `${'*a'.repeat(200)}b`, 'a'.repeat(MAX_SUBJECT_BYTES)],
    ['many levels of **', `${'**/a/'.repeat(80)}b`, `${'a/'.repeat(255)}a`],
    ['** between stars', `${'**/*a*/'.repeat(60)}b`, `${'aa/'.repeat(170)}a`],
    ['nothing but **', `${'**/'.repeat(150)}b`, `${'a/'.repeat(255)}a`],
  ])('are quick: %s', (_, pattern, text) => {
    const parsed = parseSubjectPattern(pattern)
    const start = performance.now()
    for (let i = 0; i < 10; i++) expect(parsed.matches(text)).toBe(false)
    expect(performance.now() - start).toBeLessThan(1000)
  })
})
