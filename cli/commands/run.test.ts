/** `pulsefold run` and `pulsefold compare` as a person meets them, in this process. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { fromUtf8 } from '../../crypto/bytes.ts';
import { SMALL } from '../../experiments/runs/testing-experiment.ts';
import { temporaryDirectory } from '../testing.ts';
import { command as compareCommand } from './compare.ts';
import { command as runCommand } from './run.ts';

const scratch = temporaryDirectory();
afterAll(() => scratch.dispose());
afterEach(() => vi.restoreAllMocks());

const file = join(scratch.path, 'small.yaml');
writeFileSync(file, SMALL);
const folder = (name: string): string => join(scratch.path, name);

async function call(command: Command, words: readonly string[]) {
  let [out, told] = ['', ''];
  const keep = (add: (text: string) => void) => (text: string | Uint8Array) => {
    add(typeof text === 'string' ? text : fromUtf8(text));
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(keep((text) => (out += text)));
  vi.spyOn(process.stderr, 'write').mockImplementation(keep((text) => (told += text)));
  command.exitOverride();
  command.configureOutput({ writeErr: (text) => (told += text), writeOut: (text) => (out += text) });
  await command.parseAsync(words, { from: 'user' });
  return { out, told };
}
const run = (...words: string[]) => call(runCommand(), words);
const compare = (...words: string[]) => call(compareCommand(), words);

describe('run', () => {
  it('checks a file and its plans without running it', async () => {
    const { out } = await run(file, '--check');
    expect(out).toMatch(/ok: 1 × 2 seeds/);
    expect(out).toMatch(/8\.000/);
    const json = JSON.parse((await run(file, '--check', '--json')).out);
    expect(json).toMatchObject({ clients: 4, rounds: 2, cohort_min: 3, dataset: 'synthetic-band' });
    expect(json.epsilon).toBeCloseTo(8, 2);
  });

  it('runs, shows progress and a table, and says where everything lies', async () => {
    const { out, told } = await run(file, '--out', folder('one'));
    expect(out).toMatch(/federated .*0\.\d{4} \[/);
    expect(out).toMatch(
      /ran +seal: none, identity: none, devices: seeds, store: memory, engine: kernel, noise: seeded, not private/,
    );
    expect(out).toMatch(/figures +Harness: all test rows in one place, outside the guarantee/);
    expect(told).toMatch(/rounds: .*done/);
    expect(told).toMatch(/noise: seeded, not private/);
    expect(existsSync(join(folder('one'), 'index.html'))).toBe(true);
    expect((await run(file, '--out', folder('one'))).out).toMatch(/2 runs were done before and kept/);
  });

  it('takes settings from the command line and prints one object for programs', async () => {
    const words = ['--set', 'privacy.epsilon=1', '--seeds', '3', '--rounds', '1', '--workers', '0', '--json'];
    const { out, told } = await run(file, '--out', folder('two'), ...words);
    const summary = JSON.parse(out);
    expect(summary).toMatchObject({
      noise: 'seeded, not private',
      seeds: ['0', '1', '2'],
      run_dir: folder('two'),
      interval: expect.stringContaining('95 % Student-t'),
    });
    expect(summary.points[0].privacy.epsilon_spent).toBeCloseTo(1, 3);
    expect(summary.points[0].models.federated.auc).toMatchObject({ n: 3, low: expect.any(Number) });
    expect(told).toBe('');
  });

  it('refuses what it cannot use, and says where it stands', async () => {
    const bad = join(scratch.path, 'bad.yaml');
    writeFileSync(bad, SMALL.replace('rounds: 2', 'round: 2'));
    await expect(run(bad)).rejects.toThrow(
      /bad\.yaml:7:1: round: there is no such field; did you mean "rounds"\?/,
    );
    await expect(run(join(scratch.path, 'none.yaml'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(run(file, '--set', 'rounds')).rejects.toThrow(/dotted path and a value/);
    await expect(run(file, '--set', 'privacy.epsilon=many')).rejects.toThrow(/--set privacy\.epsilon: /);
    await expect(run(file, '--workers', '-1')).rejects.toThrow(/0 to 256/);
  });
});

describe('compare', () => {
  it('pairs by seed and writes a page', async () => {
    const html = join(scratch.path, 'compare.html');
    const { out, told } = await compare(folder('one'), folder('two'), '--metric', 'auc', '--html', html);
    expect(out).toMatch(/AUC \(higher is better\)/);
    // Both runs are called `small`: their folders tell them apart; two seeds are in both.
    expect(out).toMatch(/two .*│ +2 │/);
    expect(out).toMatch(/reference +one/);
    expect(told).toContain(html);
    expect(readFileSync(html, 'utf8')).toContain('Differences from one');
    const json = JSON.parse((await compare(folder('one'), folder('two'), '--json')).out);
    expect(json.differences.find((one: { condition: string }) => one.condition === 'two')).toMatchObject({
      metric: 'auc',
      paired: true,
      seeds: 2,
    });
  });

  it('refuses what is no finished run, and unknown metrics', async () => {
    await expect(compare(scratch.path)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(compare(folder('one'), '--metric', 'f2')).rejects.toThrow(/no metric is called f2/);
    await expect(compare(folder('one'), '--metric', 'mae')).rejects.toThrow(/do not all have mae/);
  });
});
