import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CLI } from '../testing.ts';

const EVENTS = [
  { mechanism: 'poisson_sampled_gaussian', q: 0.01, sigma: 2.5, count: 50 },
  { mechanism: 'gaussian', sigma: 4, count: 1 },
  { mechanism: 'laplace', scale: 10, count: 100 },
  { mechanism: 'discrete_gaussian', sigma2: '4', count: 1 },
];

function epsilon(words: readonly string[], input: string) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'epsilon', ...words], {
    input,
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  });
  return { code: status, stdout, stderr };
}
const json = (words: readonly string[], events: unknown = EVENTS) => {
  const { code, stdout, stderr } = epsilon(['--json', ...words], JSON.stringify(events));
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return JSON.parse(stdout) as Record<string, number | string>;
};

describe('pulsefold epsilon', () => {
  it('epsilon at a delta, by each accountant, and back', () => {
    const pld = json(['--delta', '1e-6']);
    expect(Object.keys(pld)).toEqual(['epsilon', 'epsilon_low', 'delta', 'accountant']);
    expect(pld).toMatchObject({ delta: 1e-6, accountant: 'pld' });
    // dp_accounting 0.6.0, grid 1e-5.
    expect(Math.abs(Number(pld.epsilon) - 5.557985)).toBeLessThan(1e-3);
    expect(Number(pld.epsilon) - Number(pld.epsilon_low)).toBeLessThanOrEqual(1e-3);
    const rdp = json(['--delta', '1e-6', '--accountant', 'rdp']);
    expect(Number(rdp.epsilon)).toBeGreaterThan(Number(pld.epsilon));
    expect(rdp.epsilon_low).toBe(pld.epsilon_low);
    const back = json(['--epsilon', String(pld.epsilon)]);
    expect(Object.keys(back)).toEqual(['epsilon', 'delta', 'delta_low', 'accountant']);
    expect(Number(back.delta_low)).toBeLessThanOrEqual(1e-6);
    expect(Number(back.delta)).toBeGreaterThan(0.9e-6);
  });

  it('a table for people, from a file', () => {
    const directory = mkdtempSync(join(tmpdir(), 'pulsefold-epsilon-'));
    try {
      const file = join(directory, 'events.json');
      writeFileSync(file, JSON.stringify([{ mechanism: 'gaussian', sigma: 2, count: 3 }]));
      const { code, stdout } = epsilon(['--delta', '1e-5', file], '');
      expect(code).toBe(0);
      expect(stdout).toMatch(/gaussian +│ +3/);
      expect(stdout).toMatch(/epsilon +\d+\.\d+ at delta 0\.00001/);
      const missing = epsilon(['--delta', '1e-5', join(directory, 'none.json')], '');
      expect(missing).toMatchObject({ code: 1, stdout: '' });
      expect(missing.stderr).toMatch(/^error NOT_FOUND: /);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it.each<[string, readonly string[], string, number, RegExp]>([
    ['no JSON', ['--delta', '1e-6'], '{', 1, /^error MALFORMED_MESSAGE: .*JSON/],
    ['a bad field', ['--delta', '1e-6'], '[{"mechanism":"gaussian","sigma":"x"}]', 1, /event 0, sigma/],
    [
      'an unsupported event',
      ['--delta', '1e-6', '--accountant', 'zcdp'],
      JSON.stringify(EVENTS),
      1,
      /UNSUPPORTED_EVENT/,
    ],
    ['too much input', ['--delta', '1e-6'], ' '.repeat(5_000_000), 1, /^error MALFORMED_MESSAGE: .*exceed/],
    ['neither delta nor epsilon', [], '[]', 2, /--delta or --epsilon/],
    ['both', ['--delta', '1e-6', '--epsilon', '1'], '[]', 2, /--delta or --epsilon/],
    ['a delta of 2', ['--delta', '2'], '[]', 1, /FIELD_OUT_OF_RANGE/],
    ['an unknown accountant', ['--delta', '1e-6', '--accountant', 'prv'], '[]', 2, /accountant/],
  ])('refuses %s', (_, words, input, code, message) => {
    const result = epsilon(words, input);
    expect(result.stderr).toMatch(message);
    expect(result).toMatchObject({ code, stdout: '' });
  });
});
