/**
 * The sources of the project as a list of files that a test may plant things in, and what their syntax trees say.
 *
 * For no-observer*.test.ts and the canaries' own check.
 */
import { globSync, readFileSync } from 'node:fs';
import { join, posix, resolve } from 'node:path';
import ts from 'typescript';

export const root = resolve(import.meta.dirname, '..', '..');
export const PRODUCTS = [
  'auditor',
  'cli',
  'client',
  'coordinator',
  'crypto',
  'keyholder',
  'protos',
  'registrar',
];
export const TEST_SUPPORT =
  /(^|\/)testing[^/]*\.ts$|\.(test|contract|fixture)\.ts$|(^|\/)(crash-writer|local-ceremony)\.ts$/;

export type Sources = ReadonlyMap<string, string>;

export const sources: Sources = new Map(
  globSync(
    [...PRODUCTS, 'experiments'].map((directory) => `${directory}/**/*.{ts,js}`),
    { cwd: root },
  ).map((path) => [path.replaceAll('\\', '/'), readFileSync(join(root, path), 'utf8')]),
);
export const planted = (changes: Readonly<Record<string, string>>): Sources =>
  new Map([...sources, ...Object.entries(changes)]);
/** The file as it is, with a line in front. */
export const withLine = (path: string, line: string): Sources =>
  planted({ [path]: `${line}\n${sources.get(path) ?? ''}` });

const trees = new Map<string, ts.SourceFile>();
export function treeOf(text: string): ts.SourceFile {
  const known = trees.get(text);
  if (known) return known;
  const tree = ts.createSourceFile('file.ts', text, ts.ScriptTarget.Latest, true);
  trees.set(text, tree);
  return tree;
}

const flattened = new WeakMap<ts.Node, readonly ts.Node[]>();
/** Everything under `node` that has a meaning of its own, itself included; no punctuation, no comments. */
export function nodesIn(node: ts.Node): readonly ts.Node[] {
  const known = flattened.get(node);
  if (known) return known;
  const nodes: ts.Node[] = [];
  const visit = (one: ts.Node): void => {
    nodes.push(one);
    ts.forEachChild(one, visit);
  };
  visit(node);
  flattened.set(node, nodes);
  return nodes;
}

const specifiers = new Map<string, readonly string[]>();
function specifiersOf(text: string): readonly string[] {
  const known = specifiers.get(text);
  if (known) return known;
  const names = ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName);
  specifiers.set(text, names);
  return names;
}

/** Project files that a file imports, in any way: static, `export from`, dynamic, type only. */
export const importsOf = (path: string, text: string): string[] =>
  specifiersOf(text)
    .filter((name) => name.startsWith('.'))
    .map((name) => posix.join(posix.dirname(path), name));

export const isProduct = (path: string): boolean =>
  PRODUCTS.includes(path.split('/')[0]!) && !TEST_SUPPORT.test(path) && !path.startsWith('cli/checks/');

export function reachableFrom(files: Sources, starts: readonly string[]): Set<string> {
  const seen = new Set<string>();
  const queue = [...starts];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    const text = files.get(path);
    if (text !== undefined) queue.push(...importsOf(path, text));
  }
  return seen;
}
