import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

/** A number that has a name in a source file: `src/a/b.ts#name`. */
export type NumberId = `${string}#${string}`;

const top = path.dirname(path.dirname(import.meta.dirname));
/** What only tests use bounds nobody, and the owner's command is one process of his own. */
const notTheDaemon = /\.(test|fake|fixture|contract)\.ts$|\/(contract|fake|tests)\/|^src\/cli\//;

/**
 * Every number of berthd, the shim and the unpacker that is named at the top of a file or class, with its value. A number
 * without a name is not found.
 */
export function namedNumbers(): Map<NumberId, bigint> {
  const numbers = new Map<NumberId, bigint>();
  for (const file of globSync(['src/**/*.ts', 'native/**/*.{cc,h}'], { cwd: top }).sort()) {
    if (notTheDaemon.test(file)) continue;
    const text = readFileSync(path.join(top, file), 'utf8');
    const found = file.endsWith('.ts') ? inTypeScript(text) : inNative(text);
    for (const [name, value] of found) numbers.set(`${file}#${name}`, value);
  }
  return numbers;
}

function inTypeScript(text: string): Map<string, bigint> {
  const found = new Map<string, bigint>();
  for (const statement of ts.createSourceFile('', text, ts.ScriptTarget.Latest, true).statements) {
    if (!ts.isVariableStatement(statement)) continue;
    for (const { name, initializer } of statement.declarationList.declarations) {
      if (!initializer || !ts.isIdentifier(name)) continue;
      keep(found, name.text, initializer);
      if (!ts.isObjectLiteralExpression(initializer)) continue;
      for (const property of initializer.properties) {
        // In capitals: what the kernel, or a protocol, calls its own.
        if (!ts.isPropertyAssignment(property) || /^[A-Z_\d]+$/.test(property.name.getText())) continue;
        keep(found, `${name.text}.${property.name.getText()}`, property.initializer);
      }
    }
  }
  return found;
}

/** constexpr of C++, and of classes: `inline constexpr size_t kMost = 16u << 20;` */
function inNative(text: string): Map<string, bigint> {
  const found = new Map<string, bigint>();
  for (const [, name, value] of text.matchAll(/\bconstexpr [\w:]+ (\w+)\s*=\s*([^;{]+(?:\{\d+\}[^;{]*)?);/g)) {
    if (name === undefined || value === undefined) continue;
    const plain = value.replaceAll(/\w+\{(\d+)\}/g, '$1').replaceAll(/\b(0x[\da-f]+|\d[\d']*)[uUlLzZ]+\b/gi, '$1');
    keep(found, name, expressionOf(plain.replaceAll("'", '')));
  }
  return found;
}

function keep(found: Map<string, bigint>, name: string, expression: ts.Expression | undefined): void {
  const value = expression && valueOf(expression, found);
  if (value !== undefined) found.set(name, value);
}

function expressionOf(text: string): ts.Expression | undefined {
  const [statement] = ts.createSourceFile('', `(${text});`, ts.ScriptTarget.Latest, true).statements;
  return statement && ts.isExpressionStatement(statement) ? statement.expression : undefined;
}

const operations = new Map<ts.SyntaxKind, (one: bigint, other: bigint) => bigint>([
  [ts.SyntaxKind.PlusToken, (one, other) => one + other],
  [ts.SyntaxKind.MinusToken, (one, other) => one - other],
  [ts.SyntaxKind.AsteriskToken, (one, other) => one * other],
  [ts.SyntaxKind.AsteriskAsteriskToken, (one, other) => one ** other],
  [ts.SyntaxKind.LessThanLessThanToken, (one, other) => one << other],
]);

/** Of whole numbers, arithmetic with them, and names of the same file above. */
function valueOf(expression: ts.Expression, known: ReadonlyMap<string, bigint>): bigint | undefined {
  if (ts.isNumericLiteral(expression)) return /^\d+$/.test(expression.text) ? BigInt(expression.text) : undefined;
  if (ts.isBigIntLiteral(expression)) return BigInt(expression.text.slice(0, -1));
  if (ts.isParenthesizedExpression(expression)) return valueOf(expression.expression, known);
  if (ts.isIdentifier(expression)) return known.get(expression.text);
  if (!ts.isBinaryExpression(expression)) return undefined;
  const one = valueOf(expression.left, known);
  const other = valueOf(expression.right, known);
  const operation = operations.get(expression.operatorToken.kind);
  return one === undefined || other === undefined ? undefined : operation?.(one, other);
}
