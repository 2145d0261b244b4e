// Which edits a mutation run makes. Each takes one check out of the text, by position:
// 1. `if (check) … throw` or `… return`: the condition becomes `false`;
// 2. each operand of `||` and `&&` in such a condition, and in what a function of type boolean returns, becomes
//    the value that leaves the decision to the others;
// 3. a `throw` under an `if` that rule 1 does not already silence becomes an empty statement.
// `// mutate: <reason>` leaves out what the line below begins with: an `if` for its whole condition, an operand, a throw.
// The parser of the pinned TypeScript calls its API unstable.
import {
  type FunctionLikeDeclaration,
  type Node,
  type SourceFile,
  SyntaxKind,
} from "typescript/unstable/ast";
import {
  isArrowFunction,
  isBinaryExpression,
  isBlock,
  isFunctionLikeDeclaration,
  isIfStatement,
  isParenthesizedExpression,
  isPrefixUnaryExpression,
  isReturnStatement,
  isThrowStatement,
} from "typescript/unstable/ast/is";
import { API } from "typescript/unstable/sync";

export interface Mutation {
  readonly file: string;
  readonly line: number;
  readonly start: number;
  readonly end: number;
  /** What stands there, on one line. */
  readonly found: string;
  readonly replacement: string;
  /** Why nothing can tell the difference: the text of `// mutate: <reason>` above the line. */
  readonly skip: string | undefined;
}

export interface Mutations {
  readonly mutations: readonly Mutation[];
  /** Skips without a reason, and skips that skip nothing. */
  readonly problems: readonly string[];
}

const SKIP = /^\s*\/\/ mutate:\s*(.*)$/;

export function mutationsOf(files: readonly string[]): Mutations {
  const api = new API();
  try {
    const snapshot = api.updateSnapshot({ openFiles: [...files] });
    const found = files.map((file) => {
      const source = snapshot.getDefaultProjectForFile(file)?.program.getSourceFile(file);
      if (source === undefined) throw new Error(`not parsed: ${file}`);
      return mutationsOfFile(file, source);
    });
    return {
      mutations: found.flatMap(({ mutations }) => mutations),
      problems: found.flatMap(({ problems }) => problems),
    };
  } finally {
    api.close();
  }
}

function mutationsOfFile(file: string, source: SourceFile): Mutations {
  const lines = source.text.split("\n");
  const mutations: Mutation[] = [];
  const usedSkips = new Set<number>();
  const lineAt = (position: number): number =>
    source.text.slice(0, position).split("\n").length - 1;

  /** `anchor` is what a skip above its line speaks of, if the line begins with it. */
  function add(node: Node, replacement: string, anchor: Node = node): void {
    const start = node.getStart(source);
    const index = lineAt(start);
    const anchorStart = anchor.getStart(source);
    const anchorIndex = lineAt(anchorStart);
    const beforeAnchor = source.text.slice(0, anchorStart).split("\n").at(-1) ?? "";
    const skipIndex = beforeAnchor.trim() === "" ? skipAbove(lines, anchorIndex) : undefined;
    if (skipIndex !== undefined) usedSkips.add(skipIndex);
    mutations.push({
      file,
      line: index + 1,
      start,
      end: node.end,
      found: source.text.slice(start, node.end).replaceAll(/\s+/g, " "),
      replacement,
      skip: skipIndex === undefined ? undefined : SKIP.exec(lines[skipIndex] ?? "")?.[1],
    });
  }

  function addOperands(node: Node): void {
    const inner = withoutWrapping(node);
    if (!isBinaryExpression(inner)) return;
    const operator = inner.operatorToken.kind;
    if (!isLogical(operator)) return;
    for (const side of [inner.left, inner.right]) {
      // `a || b || c` has three operands, not `a || b` and `c`.
      const isSameChain = isBinaryExpression(side) && side.operatorToken.kind === operator;
      if (!isSameChain) add(side, operator === SyntaxKind.BarBarToken ? "false" : "true");
      addOperands(side);
    }
  }

  function visit(node: Node, isUnderIf: boolean, isPredicate: boolean): void {
    if (isIfStatement(node)) {
      const isGuard = endsInExit(node.thenStatement);
      if (isGuard) {
        add(node.expression, "false", node);
        addOperands(node.expression);
      }
      const onlyThrow = isGuard ? soleStatement(node.thenStatement) : undefined;
      node.forEachChild((child) => {
        if (onlyThrow !== undefined && isThrowStatement(onlyThrow) && child === node.thenStatement)
          return;
        visit(child, true, isPredicate);
      });
      return;
    }
    if (isThrowStatement(node) && isUnderIf) add(node, ";");
    if (isReturnStatement(node) && isPredicate && node.expression !== undefined)
      addOperands(node.expression);
    if (isFunctionLikeDeclaration(node)) {
      const isBoolean = returnsBoolean(node, source);
      if (isArrowFunction(node) && isBoolean && !isBlock(node.body)) addOperands(node.body);
      node.forEachChild((child) => visit(child, false, isBoolean));
      return;
    }
    node.forEachChild((child) => visit(child, isUnderIf, isPredicate));
  }

  visit(source, false, false);
  return { mutations, problems: skipProblems(file, lines, usedSkips) };
}

/** The line of a skip in the comment directly above a line. */
function skipAbove(lines: readonly string[], index: number): number | undefined {
  for (let above = index - 1; /^\s*\/\//.test(lines[above] ?? ""); above--)
    if (SKIP.test(lines[above] ?? "")) return above;
  return undefined;
}

function skipProblems(
  file: string,
  lines: readonly string[],
  used: ReadonlySet<number>,
): readonly string[] {
  return lines.flatMap((line, index) => {
    const reason = SKIP.exec(line)?.[1];
    if (reason === undefined) return [];
    if (reason.trim() === "") return [`${file}:${index + 1}: a skip without a reason`];
    return used.has(index) ? [] : [`${file}:${index + 1}: a skip that skips nothing`];
  });
}

function isLogical(kind: SyntaxKind): boolean {
  return kind === SyntaxKind.BarBarToken || kind === SyntaxKind.AmpersandAmpersandToken;
}

function withoutWrapping(node: Node): Node {
  if (isParenthesizedExpression(node)) return withoutWrapping(node.expression);
  if (isPrefixUnaryExpression(node) && node.operator === SyntaxKind.ExclamationToken)
    return withoutWrapping(node.operand);
  return node;
}

function soleStatement(node: Node): Node | undefined {
  if (!isBlock(node)) return node;
  return node.statements.length === 1 ? node.statements[0] : undefined;
}

function endsInExit(node: Node): boolean {
  const last = isBlock(node) ? node.statements.at(-1) : node;
  return last !== undefined && (isThrowStatement(last) || isReturnStatement(last));
}

function returnsBoolean(node: FunctionLikeDeclaration, source: SourceFile): boolean {
  const type = node.type?.getText(source) ?? "";
  return type === "boolean" || /^\w+ is /.test(type);
}
