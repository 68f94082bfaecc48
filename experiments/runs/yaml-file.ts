/**
 * YAML files whose errors say where: file, line, column, what is wrong and what to do.
 *
 * Trusts: nothing; text is capped, aliases (which could blow up) and repeated keys are refused.
 * May be called by: experiments, cli.
 */
import { readFileSync, statSync } from 'node:fs';
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { ensure, PulsefoldError } from '../../crypto/error.ts';

export type Path = readonly (string | number)[];

export interface YamlFile {
  /** As the person named it; stands in errors. */
  readonly file: string;
  readonly text: string;
  /** Plain objects, arrays, numbers, texts. */
  readonly value: unknown;
  /** `file:line:column` of what stands at the path, or of the nearest thing above it that is there. */
  locate(path: Path): string;
  /** The same for a key itself, not its value. */
  locateKey(path: Path): string;
}

/** Errors shown at once. */
const ISSUES_MAX = 5;

/** @throws PulsefoldError CONFIG_INVALID with the place, NOT_FOUND. */
export function readYamlFile(file: string, charactersMax: number): YamlFile {
  const entry = statSync(file, { throwIfNoEntry: false });
  const sizeBytes = entry?.isFile() ? entry.size : null;
  ensure(sizeBytes !== null, 'NOT_FOUND', `${file}: no such file; check the path`);
  ensure(
    sizeBytes <= charactersMax * 4,
    'CONFIG_INVALID',
    `${file}: ${sizeBytes} bytes, at most ${charactersMax} characters are read`,
  );
  return parseYamlText(readFileSync(file, 'utf8'), file, charactersMax);
}

export function parseYamlText(text: string, file: string, charactersMax: number): YamlFile {
  ensure(
    text.length <= charactersMax,
    'CONFIG_INVALID',
    `${file}: ${text.length} characters, at most ${charactersMax} are read`,
  );
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const [error] = [...document.errors, ...document.warnings];
  if (error)
    throw new PulsefoldError('CONFIG_INVALID', `${at(error.pos[0])}: not valid YAML: ${error.message}`);
  const locate = (path: Path) => at(offsetOf(document, path));
  return {
    file,
    text,
    value: toPlain(document, file),
    locate,
    locateKey: (path) => at(keyOffsetOf(document, path) ?? offsetOf(document, path)),
  };
}

function toPlain(document: Document, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 });
  } catch (cause) {
    throw new PulsefoldError('CONFIG_INVALID', `${file}: aliases (*name) are not read: write the value out`, {
      cause,
    });
  }
}

function offsetOf(document: Document, path: Path): number {
  for (let length = path.length; length > 0; length--) {
    const node: unknown = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
    // A key without a value has no node of its own.
    const key = keyOffsetOf(document, path.slice(0, length));
    if (key !== undefined) return key;
  }
  return document.contents?.range?.[0] ?? 0;
}

function keyOffsetOf(document: Document, path: Path): number | undefined {
  const parent: unknown = path.length > 1 ? document.getIn(path.slice(0, -1), true) : document.contents;
  if (!isMap(parent)) return undefined;
  const pair = parent.items.find(({ key }) => isScalar(key) && key.value === path.at(-1));
  return isNode(pair?.key) ? pair.key.range?.[0] : undefined;
}

type Issue = z.core.$ZodIssue;

/** The value, checked. @throws CONFIG_INVALID: up to five lines `file:line:column: field: what is wrong`. */
export function checkYaml<Schema extends z.ZodType>(
  yaml: YamlFile,
  schema: Schema,
  value: unknown = yaml.value,
): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { issues } = result.error;
  const lines = issues.slice(0, ISSUES_MAX).map((issue) => issueLine(yaml, schema, issue));
  const more = issues.length > ISSUES_MAX ? [`and ${issues.length - ISSUES_MAX} more`] : [];
  throw new PulsefoldError('CONFIG_INVALID', [...lines, ...more].join('\n'));
}

function issueLine(yaml: YamlFile, schema: z.ZodType, issue: Issue): string {
  const path = issue.path as Path;
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys;
    const known = keysAt(schema, path);
    const near = nearest(key, known);
    const advice =
      near === undefined
        ? known.length > 0
          ? `; known: ${known.join(', ')}`
          : ''
        : `; did you mean "${near}"?`;
    return `${yaml.locateKey([...path, key])}: ${dotted([...path, key])}: there is no such field${advice}`;
  }
  const missing = issue.code === 'invalid_type' && valueAt(yaml.value, path) === undefined;
  const text = missing ? 'is missing: add it' : messageOf(issue);
  return `${yaml.locate(path)}: ${dotted(path) || 'the file'}: ${text}`;
}

function messageOf(issue: Issue): string {
  const text = issue.message.replace(/^Invalid input: /, '').replace(/^Invalid option: /, '');
  return text.charAt(0).toLowerCase() + text.slice(1);
}

export const dotted = (path: Path): string => path.join('.');

export function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const key of path) {
    if (at === null || typeof at !== 'object' || !Object.hasOwn(at, key)) return undefined;
    at = (at as Record<string | number, unknown>)[key];
  }
  return at;
}

/** The fields that a schema knows at a path; empty where that cannot be said. */
function keysAt(schema: z.ZodType, path: Path): string[] {
  let at: unknown = schema;
  for (const key of ['', ...path]) {
    if (key !== '') at = shapeOf(at)?.[key];
  }
  return Object.keys(shapeOf(at) ?? {});
}

/** Through wrappers (optional, default, nullable, pipes) to an object's fields. */
function shapeOf(schema: unknown): Record<string, unknown> | undefined {
  let at = schema as { def?: Record<string, unknown>; shape?: Record<string, unknown> } | undefined;
  for (let depth = 0; at && depth < 8; depth++) {
    if (at.shape) return at.shape;
    at = (at.def?.innerType ?? at.def?.in) as typeof at;
  }
  return undefined;
}

/** The candidate within an edit distance of 2 (or a third of its length). */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const scored = candidates
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const [best] = scored;
  return best && best.distance <= Math.max(2, Math.floor(best.candidate.length / 3))
    ? best.candidate
    : undefined;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++)
      row.push(
        Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)),
      );
    previous = row;
  }
  return previous[b.length]!;
}
