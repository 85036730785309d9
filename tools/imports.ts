import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

/** One import or re-export of a source file. */
export interface ImportOf {
  /** Relative to the checkout. */
  readonly file: string;
  readonly specifier: string;
  /** Only types come through it: it is gone at run time. */
  readonly typeOnly: boolean;
  /** The file of the project it reaches, relative to the checkout; undefined for node: and npm. */
  readonly target: string | undefined;
}

/** Every import of every TypeScript file below the named directories. */
export function readImports(top: string, directories: readonly string[]): ImportOf[] {
  return directories.flatMap((directory) => sources(path.join(top, directory)).flatMap((file) => importsOf(top, file)));
}

function sources(directory: string): string[] {
  let names: string[];
  try {
    names = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  } catch {
    return [];
  }
  return names.filter((name) => name.endsWith('.ts')).map((name) => path.join(directory, name));
}

function importsOf(top: string, absolute: string): ImportOf[] {
  const source = ts.createSourceFile(absolute, readFileSync(absolute, 'utf8'), ts.ScriptTarget.ESNext);
  const file = path.relative(top, absolute);
  const found: ImportOf[] = [];
  const add = (specifier: string, typeOnly: boolean): void => {
    found.push({ file, specifier, typeOnly, target: targetOf(file, specifier) });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      add(node.moduleSpecifier.text, isTypeOnly(node.importClause));
    } else if (ts.isExportDeclaration(node) && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier)) {
      add(node.moduleSpecifier.text, node.isTypeOnly);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [argument] = node.arguments;
      if (argument && ts.isStringLiteral(argument)) add(argument.text, false);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      if (ts.isStringLiteral(node.argument.literal)) add(node.argument.literal.text, true);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function isTypeOnly(clause: ts.ImportClause | undefined): boolean {
  if (clause === undefined) return false;
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const bindings = clause.namedBindings;
  if (clause.name !== undefined || bindings === undefined || !ts.isNamedImports(bindings)) return false;
  return bindings.elements.length > 0 && bindings.elements.every((element) => element.isTypeOnly);
}

function targetOf(file: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return path.join(path.dirname(file), specifier);
  const mapped = /^#([a-z-]+)\/(.+)$/.exec(specifier);
  if (mapped?.[1] === undefined) return undefined;
  return `${mapped[1] === 'cri-api' ? '' : 'src/'}${mapped[1]}/${mapped[2]}.ts`;
}

/** A chain of files that import one another at run time, or undefined. */
export function findCycle(imports: readonly ImportOf[]): readonly string[] | undefined {
  const next = new Map<string, string[]>();
  for (const { file, target, typeOnly } of imports) {
    if (target === undefined || typeOnly) continue;
    next.set(file, [...(next.get(file) ?? []), target]);
  }
  const finished = new Set<string>();
  const walk = (file: string, way: readonly string[]): readonly string[] | undefined => {
    if (way.includes(file)) return [...way.slice(way.indexOf(file)), file];
    if (finished.has(file)) return undefined;
    for (const target of next.get(file) ?? []) {
      const cycle = walk(target, [...way, file]);
      if (cycle) return cycle;
    }
    finished.add(file);
    return undefined;
  };
  for (const file of next.keys()) {
    const cycle = walk(file, []);
    if (cycle) return cycle;
  }
  return undefined;
}
