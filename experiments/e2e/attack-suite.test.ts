/**
 * The attack suite is whole: each attack of testing-attack-table.ts has a row, each file and each title exists, each rule
 * named is one that key holders are built with, and every attack file is in the table.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { holderRules } from '../../keyholder/rules.ts';
import { named, table } from './testing-attack-table.ts';

const root = join(import.meta.dirname, '../..');

const sources = new Map<string, string>();
const sourceOf = (file: string): string => {
  const source = sources.get(file) ?? readFileSync(join(root, file), 'utf8');
  sources.set(file, source);
  return source;
};
/** Titles of `it` and `test`, however they are quoted and whatever stands between name and title. */
const hasTitle = (file: string, title: string): boolean =>
  ["'", '"', '`'].some((quote) => sourceOf(file).includes(`${quote}${title}${quote}`));

describe('the attack suite', () => {
  it('has a row for every attack', () => {
    expect(new Set(table.map(({ attack }) => attack))).toEqual(new Set(named));
  });

  it.each(
    table.flatMap(({ attack, shown }) =>
      Object.entries(shown).map(([file, titles]) => [attack, file, titles] as const),
    ),
  )('%s: %s is there, with its tests', (_attack, file, titles) => {
    expect(existsSync(join(root, file))).toBe(true);
    expect(titles.length).toBeGreaterThan(0);
    expect(titles.filter((title) => !hasTitle(file, title))).toEqual([]);
  });

  it('names rules that key holders are built with, and says what else in words', () => {
    const single = table.flatMap(({ stoppedBy }) => stoppedBy).filter((check) => !check.includes(' '));
    expect(single.length).toBeGreaterThan(10);
    expect(single.filter((rule) => !Object.hasOwn(holderRules, rule))).toEqual([]);
    for (const { coalition, stoppedBy, weakened } of table)
      for (const text of [coalition, weakened, ...stoppedBy]) expect(text).not.toBe('');
  });

  it('has every attack file of this directory', () => {
    const here = readdirSync(import.meta.dirname).filter((name) => /^attack-.*\.test\.ts$/.test(name));
    const listed = new Set(table.flatMap(({ shown }) => Object.keys(shown)));
    const own = ['attack-suite.test.ts', 'attack-rounds.test.ts', 'attack-rounds.slow.test.ts'];
    const missing = here.filter((name) => !own.includes(name) && !listed.has(`experiments/e2e/${name}`));
    expect(missing).toEqual([]);
    // The two that run testing-round-attacks.ts.
    for (const name of own.slice(1)) expect(sourceOf(`experiments/e2e/${name}`)).toContain('roundAttacks(');
  });
});
