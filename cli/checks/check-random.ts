/**
 * `Math.random` appears nowhere outside experiments/simulation; part of `npm run check`.
 *
 * Reads the syntax tree, so that comments may speak of it and spellings like `Math['random']` do not slip through.
 * Trusts: the TypeScript parser.
 */
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import ts from 'typescript';
import { sourceDirectories } from './check-dependencies.ts';

const ALLOWED = /^experiments\/simulation\//;

/** Lines (from 1) on which `text` reaches for Math.random. */
export function randomUses(text: string, fileName = 'file.ts'): number[] {
  const lines: number[] = [];
  const source = ts.createSourceFile(fileName, text, ts.ScriptTarget.Latest, true);
  const isMath = (node: ts.Node): boolean => {
    if (ts.isParenthesizedExpression(node) || ts.isAsExpression(node)) return isMath(node.expression);
    if (ts.isIdentifier(node)) return node.text === 'Math';
    return ts.isPropertyAccessExpression(node) && node.name.text === 'Math';
  };
  const found = (node: ts.Node): void => {
    lines.push(source.getLineAndCharacterOfPosition(node.getStart()).line + 1);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAccessExpression(node) && isMath(node.expression) && node.name.text === 'random')
      found(node);
    else if (ts.isElementAccessExpression(node) && isMath(node.expression)) {
      const { argumentExpression: argument } = node;
      // A computed name could be anything; Math is no table to look things up in.
      if (!ts.isStringLiteralLike(argument) || argument.text === 'random') found(node);
    } else if (ts.isVariableDeclaration(node) && node.initializer && isMath(node.initializer)) found(node);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return lines;
}

export function checkRandom(root: string): { readonly files: number; readonly uses: readonly string[] } {
  const patterns = sourceDirectories.map((directory) => `${directory}/**/*.{ts,js,mjs,cjs}`);
  const files = globSync(patterns, { cwd: root })
    .map((file) => file.replaceAll('\\', '/'))
    .sort();
  const uses: string[] = [];
  for (const file of files) {
    if (ALLOWED.test(file)) continue;
    const text = readFileSync(join(root, file), 'utf8');
    if (!text.includes('Math')) continue;
    for (const line of randomUses(text, file)) uses.push(`${file}:${line}`);
  }
  return { files: files.length, uses };
}

if (import.meta.main) {
  const { files, uses } = checkRandom(resolve(import.meta.dirname, '..', '..'));
  for (const use of uses) {
    process.stderr.write(`error ${use}: Math.random is not allowed; use crypto/random.ts\n`);
  }
  if (uses.length > 0 || files === 0) process.exitCode = 1;
  else process.stdout.write(`random: ${files} files, no Math.random\n`);
}
