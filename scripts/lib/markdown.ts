export interface CodeBlock {
  /** Line of the first line of code, counted from 1. */
  line: number
  language: string
  /** The words after the language. */
  marks: string[]
  code: string
}

export interface Link {
  line: number
  target: string
}

const FENCE = /^(\s*)(`{3,}|~{3,})\s*([^\s`{]*)\s*(.*?)\s*$/

interface Scanned {
  blocks: CodeBlock[]
  /** The document's lines, those inside of blocks emptied. */
  prose: string[]
}

function scan(text: string): Scanned {
  const blocks: CodeBlock[] = []
  const prose: string[] = []
  let open: { indent: string; fence: string; block: CodeBlock; lines: string[] } | undefined
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const match = FENCE.exec(line)
    if (open === undefined) {
      if (match === null) {
        prose.push(line)
        continue
      }
      const [, indent = '', fence = '', language = '', marks = ''] = match
      const block = { line: index + 2, language, marks: marks.split(/\s+/).filter((mark) => mark !== ''), code: '' }
      open = { indent, fence, block, lines: [] }
    } else if (match !== null && match[2]?.startsWith(open.fence) === true && match[3] === '') {
      open.block.code = `${open.lines.join('\n')}\n`
      blocks.push(open.block)
      open = undefined
    } else {
      open.lines.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line.trimStart())
    }
    prose.push('')
  }
  return { blocks, prose }
}

/** The fenced code blocks of a document. */
export function codeBlocks(text: string): CodeBlock[] {
  return scan(text).blocks
}

/** Where the document points to: inline links, images, reference definitions, and the attributes of HTML. */
export function links(text: string): Link[] {
  const found: Link[] = []
  for (const [index, line] of scan(text).prose.entries()) {
    const plain = line.replaceAll(/(`+)(?:(?!\1).)*\1/g, '``')
    const targets = [
      ...plain.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+["'][^)]*)?\s*\)/g),
      ...plain.matchAll(/^\s{0,3}\[[^\]]+\]:\s*<?([^\s>]+)/g),
      ...plain.matchAll(/\s(?:href|src)="([^"]+)"/g),
    ]
    for (const [, target = ''] of targets) found.push({ line: index + 1, target })
  }
  return found
}

/** The anchors that a document's headings and HTML ids give, as they are made on code-hosting sites. */
export function anchors(text: string): Set<string> {
  const found = new Set<string>()
  for (const line of scan(text).prose) {
    for (const [, id = ''] of line.matchAll(/\s(?:id|name)="([^"]+)"/g)) found.add(id)
    const heading = /^\s{0,3}#{1,6}\s+(.*?)\s*#*$/.exec(line)
    if (heading === null) continue
    const words = (heading[1] ?? '').replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll(/<[^>]*>/g, '')
    const slug = words
      .trim()
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, '')
      .replaceAll(' ', '-')
    let unique = slug
    for (let n = 1; found.has(unique); n++) unique = `${slug}-${n}`
    found.add(unique)
  }
  return found
}
