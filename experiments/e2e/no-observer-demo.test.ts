/**
 * The demo may watch its own clients in crash runs and nowhere else, and no word of the command line turns that on. The
 * rest of what production must not reach: no-observer.test.ts.
 */
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { demoCommand } from '../../cli/commands/demo.ts';
import type { DemoOptions } from '../demo/options.ts';
import { isProduct, nodesIn, type Sources, sources, treeOf, withLine } from './testing-sources.ts';

/** Words of the observer's machinery that a file of the command line uses in code (comments may speak of it). */
function observerWords(files: Sources): string[] {
  const found: string[] = [];
  for (const [path, text] of files) {
    if (!path.startsWith('cli/') || !isProduct(path)) continue;
    for (const node of nodesIn(treeOf(text)))
      if (
        (ts.isIdentifier(node) || ts.isStringLiteralLike(node)) &&
        /^(--)?(observed?|sealer|sealerOf|holderRules|hooks)$/i.test(node.text)
      )
        found.push(`${path}: ${node.text}`);
  }
  return found;
}

describe('the demo', () => {
  /** What the command hands to the demo for these words. */
  async function optionsFor(...words: string[]): Promise<DemoOptions> {
    let options: DemoOptions | undefined;
    const command = demoCommand(async (parsed) => {
      options = parsed;
    });
    await command
      .exitOverride()
      .configureOutput({ writeErr: () => {} })
      .parseAsync(words, { from: 'user' });
    return options!;
  }

  it('has no flag for its observer: not one option sets `observe`', async () => {
    const switches: Record<string, string> = {
      dataset: 'synthetic-band',
      data: '.',
      epsilon: '3',
      clients: '5',
      groups: '5',
    };
    const needs: Record<string, string[]> = { combine: ['--groups', '5'] };
    const command = demoCommand(async () => {});
    expect(command.options.length).toBeGreaterThan(12);
    for (const { long, required } of command.options) {
      const name = long!.replace(/^--/, '');
      const choices = command.options.find((option) => option.long === long)!.argChoices;
      const value = switches[name] ?? choices?.[0] ?? '1';
      const options = await optionsFor(long!, ...(required ? [value] : []), ...(needs[name] ?? []));
      expect(Object.keys(options), long).not.toContain('observe');
    }
    await expect(optionsFor('--observe')).rejects.toThrow(/unknown option/);
    await expect(optionsFor('--observe=true')).rejects.toThrow(/unknown option/);
    expect((await optionsFor('--kill-coordinator')).killCoordinator).toBe(true);
  });

  it('watches in crash runs only, from one place', () => {
    const demo = sources.get('experiments/demo/demo.ts')!;
    expect(demo).toMatch(/options\.killCoordinator \|\| options\.observe === true/);
    expect(demo.match(/OBSERVED_HOST/g)).toHaveLength(2);
    expect(demo).toMatch(/observed\(options\) \? OBSERVED_HOST : HOST/);
    const naming = [...sources].filter(
      ([path, text]) => /observed-client-host\.ts'/.test(text) && !path.endsWith('.test.ts'),
    );
    expect(naming.map(([path]) => path).sort()).toEqual([
      'experiments/demo/demo.ts',
      'experiments/e2e/invariants.ts',
    ]);
    const setting = [...sources].filter(
      ([path, text]) => /\bobserve: true/.test(text) && !path.endsWith('.test.ts'),
    );
    expect(setting.map(([path]) => path)).toEqual(['experiments/e2e/phones.ts']);
  });

  it('and the command line never speaks of observer, sealer, rules or hooks', () => {
    expect(observerWords(sources)).toEqual([]);
    for (const line of ['const observe = true;', "command.option('--observe');", 'run({ sealer });'])
      expect(observerWords(withLine('cli/commands/demo.ts', line))).toHaveLength(1);
  });
});
