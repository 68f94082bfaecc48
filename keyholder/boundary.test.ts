/** Nothing that weakens or observes a holder is reachable from what runs in production. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { holderRules } from './rules.ts';

/** All project files that `entry` imports, directly or not. */
function importsOf(entry: string, seen = new Set<string>()): Set<string> {
  if (seen.has(entry)) return seen;
  seen.add(entry);
  for (const [, path] of readFileSync(entry, 'utf8').matchAll(/from '(\.{1,2}\/[^']+)'/g))
    importsOf(resolve(dirname(entry), path!), seen);
  return seen;
}

it('the server reaches no test support, and only the full rules without hooks', () => {
  const server = resolve(import.meta.dirname, 'server.ts');
  const reached = [...importsOf(server)];
  expect(reached.length).toBeGreaterThan(20);
  expect(reached.filter((path) => /testing|\.test\.ts$|local-ceremony/.test(path))).toEqual([]);
  const source = readFileSync(server, 'utf8');
  expect(source).toMatch(/const rules = holderRules;/);
  expect(source).toMatch(/hooks: noHooks,/);
});

it('the rules cannot be replaced from outside', () => {
  expect(Object.isFrozen(holderRules)).toBe(true);
});
