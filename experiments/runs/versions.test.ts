import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { commitOf } from './versions.ts';

it('two states of changed or new code are told apart; documents are no code', () => {
  const root = mkdtempSync(join(tmpdir(), 'pulsefold-versions-test-'));
  const put = (file: string, text: string) => writeFileSync(join(root, file), text);
  const git = (...words: string[]) =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.invalid', ...words], { cwd: root });
  try {
    expect(commitOf(root)).toBeNull();
    git('init', '-q');
    put('a.ts', '1');
    git('add', '.');
    git('commit', '-q', '-m', 'one');
    const clean = commitOf(root)!;
    expect(clean).toMatch(/^[0-9a-f]{40}$/);
    put('results.md', 'figures');
    expect(commitOf(root)).toBe(clean);
    const states = [clean];
    for (const [file, text] of [
      ['a.ts', '2'],
      ['a.ts', '3'],
      ['b.ts', '1'],
      ['b.ts', '2'],
    ] as const) {
      put(file, text);
      states.push(commitOf(root)!);
    }
    expect(new Set(states).size).toBe(5);
    for (const state of states) expect(state.startsWith(clean)).toBe(true);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
