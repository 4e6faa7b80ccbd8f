/**
 * Which branches that reject a source file has, and a copy of it that tells when one of them is taken.
 *
 * A branch rejects if it calls `fail()`, or returns what says that bytes are no value: null, undefined, −1, false or the
 * name of a fault. Of a condition that leads there, each alternative counts by itself: of `if (a || b) fail()` both `a`
 * and `b` must once have been the reason.
 */
import ts from 'typescript'

export interface Branch {
  line: number
  /** The condition, or what is done. */
  text: string
}

interface Edit {
  start: number
  end: number
  prefix: string
}

/** Functions that make bytes, rather than read them. */
const WRITERS = /^(?:encode|write|sign|alloc|retarget|numbered|requested|rendezvousOf|short|truncated|statement)/
/** Functions that return the name of a fault. */
const NAMING_FAULTS = /^(?:decode|verify|subjectFault|check)/
/** Functions that say by false that bytes are none. */
const DENYING = /^(?:accept)/
const MAX_TEXT = 70

/**
 * @param source JavaScript.
 * @param tell the expression of an object with the methods `when`, `unless` and `here`, each given a branch's number and
 * a value that it returns; `{}` in it is replaced by the list of branches.
 */
export function instrument(source: string, tell: (branches: readonly Branch[]) => string): string {
  const file = ts.createSourceFile('decoder.js', source, ts.ScriptTarget.Latest, true, ts.ScriptKind.JS)
  const branches: Branch[] = []
  const edits: Edit[] = []

  function mark(how: 'when' | 'unless' | 'here', node: ts.Node): void {
    const line = file.getLineAndCharacterOfPosition(node.getStart()).line + 1
    const plain = node.getText().replaceAll(/\s+/g, ' ')
    const text = how === 'unless' ? `not (${plain})` : plain
    edits.push({ start: node.getStart(), end: node.getEnd(), prefix: `__taken.${how}(${branches.length}, (` })
    branches.push({ line, text: text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text })
  }

  /** Each alternative of a condition that rejects when it is true, or false. */
  function alternatives(node: ts.Expression, rejecting: boolean): void {
    if (ts.isParenthesizedExpression(node)) return alternatives(node.expression, rejecting)
    if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.ExclamationToken) {
      return alternatives(node.operand, !rejecting)
    }
    const splits = rejecting ? ts.SyntaxKind.BarBarToken : ts.SyntaxKind.AmpersandAmpersandToken
    if (ts.isBinaryExpression(node) && node.operatorToken.kind === splits) {
      alternatives(node.left, rejecting)
      alternatives(node.right, rejecting)
    } else mark(rejecting ? 'when' : 'unless', node)
  }

  function visit(node: ts.Node, name: string): void {
    let inside = name
    if (ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node)) inside = node.name?.getText() ?? name
    if (WRITERS.test(inside)) return
    if (ts.isReturnStatement(node) && node.expression !== undefined) outcome(node.expression, inside)
    else if (isFail(node)) mark('here', node)
    else if (ts.isIfStatement(node) && rejects(node.thenStatement, inside)) alternatives(node.expression, true)
    ts.forEachChild(node, (child) => visit(child, inside))
  }

  function outcome(node: ts.Expression, name: string): void {
    if (ts.isParenthesizedExpression(node)) outcome(node.expression, name)
    else if (ts.isConditionalExpression(node)) {
      if (isRejection(node.whenTrue, name)) alternatives(node.condition, true)
      if (isRejection(node.whenFalse, name)) alternatives(node.condition, false)
      outcome(node.whenTrue, name)
      outcome(node.whenFalse, name)
    } else if (isRejection(node, name) && !isFail(node)) mark('here', node)
  }

  visit(file, '')
  return `const __taken = ${tell(branches)}; ${applied(source, edits)}`
}

function isFail(node: ts.Node): boolean {
  return (
    ts.isCallExpression(node) &&
    ts.isPropertyAccessExpression(node.expression) &&
    /^#?fail$/.test(node.expression.name.text)
  )
}

function isRejection(node: ts.Expression, name: string): boolean {
  if (node.kind === ts.SyntaxKind.NullKeyword) return name !== 'subjectFault'
  if (isFail(node)) return true
  if (ts.isIdentifier(node)) return node.text === 'undefined'
  if (node.kind === ts.SyntaxKind.FalseKeyword) return DENYING.test(name)
  if (ts.isPrefixUnaryExpression(node)) return node.getText() === '-1'
  return (
    (ts.isStringLiteral(node) || ts.isTemplateExpression(node) || ts.isNoSubstitutionTemplateLiteral(node)) &&
    NAMING_FAULTS.test(name)
  )
}

function rejects(node: ts.Statement, name: string): boolean {
  if (ts.isBlock(node)) return node.statements.some((one) => rejects(one, name))
  if (ts.isReturnStatement(node)) return node.expression !== undefined && isRejection(node.expression, name)
  return ts.isExpressionStatement(node) && isFail(node.expression)
}

function applied(source: string, edits: readonly Edit[]): string {
  // At one place inner expressions end before outer ones, and outer ones begin before inner ones.
  const points = [
    ...edits.map(({ start, end, prefix }) => ({ at: start, order: 2 ** 30 - end, text: prefix })),
    ...edits.map(({ start, end }) => ({ at: end, order: -start - 2 ** 30, text: '))' })),
  ].toSorted((a, b) => a.at - b.at || a.order - b.order)
  let text = ''
  let from = 0
  for (const point of points) {
    text += source.slice(from, point.at) + point.text
    from = point.at
  }
  return text + source.slice(from)
}
