/** `pulsefold audit canary` as a person meets it, in this process. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import type { CanaryReport } from '../../auditor/canary/canary-report.ts';
import { fromUtf8 } from '../../crypto/bytes.ts';
import { testPlan } from '../../experiments/canary/testing-plans.ts';
import { temporaryDirectory } from '../testing.ts';
import { canary } from './audit-canary.ts';

const scratch = temporaryDirectory();
afterAll(() => scratch.dispose());
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

const parsed = testPlan({ unit: 'record', cohortMin: 3, hidden: [8], unitsPerClip: 2 });
const file = join(scratch.path, 'plan.json');
writeFileSync(file, JSON.stringify(parsed.plan));

async function run(...words: string[]): Promise<{ readonly out: string; readonly progress: string }> {
  let [out, progress] = ['', ''];
  const keep = (add: (text: string) => void) => (text: string | Uint8Array) => {
    add(typeof text === 'string' ? text : fromUtf8(text));
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(keep((text) => (out += text)));
  vi.spyOn(process.stderr, 'write').mockImplementation(keep((text) => (progress += text)));
  const command = canary().exitOverride();
  command.configureOutput({ writeErr: (text) => (progress += text), writeOut: (text) => (out += text) });
  await command.parseAsync(words, { from: 'user' });
  return { out, progress };
}

describe('audit canary', () => {
  it('says what was found, what was claimed, and that it is no epsilon', async () => {
    const { out, progress } = await run(file, '--runs', '4', '--seed', '7');
    expect(out).toMatch(/^no violation found\n/);
    expect(out).toMatch(/epsilon stated +3 at delta 0\.00001/);
    expect(out).toMatch(/lower bound +\d/);
    expect(out).toMatch(/noise +seeded, not private/);
    expect(out).toMatch(/ok +training: clip, layer 2 biases/);
    expect(out).toMatch(/A bug alarm, not an epsilon/);
    expect(progress).toMatch(/canary rounds: .*done/);
    expect(process.exitCode).toBeUndefined();
  });

  it('prints one object for programs, and nothing else', async () => {
    const { out, progress } = await run(file, '--runs', '4', '--seed', '7', '--json');
    const report = JSON.parse(out) as CanaryReport;
    expect(report).toMatchObject({
      verdict: 'no violation found',
      planHash: parsed.hashHex,
      runs: 4,
      noise: 'seeded, not private',
    });
    expect(report.epsilonClaimed).toBeCloseTo(3, 2);
    expect(progress).toBe('');
  });

  it('takes the canonical plan of a run directory', async () => {
    const exported = join(scratch.path, 'exported.json');
    writeFileSync(exported, parsed.bytes);
    const { out } = await run(exported, '--runs', '2', '--seed', '7', '--json');
    expect((JSON.parse(out) as CanaryReport).planHash).toBe(parsed.hashHex);
  });

  it('helps, and refuses what it cannot use', async () => {
    expect(canary().helpInformation().replace(/\s+/g, ' ')).toMatch(/bug alarm, never an epsilon/i);
    await expect(run(join(scratch.path, 'none.yaml'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    writeFileSync(join(scratch.path, 'bare.json'), JSON.stringify({ ...parsed.plan, privacy: null }));
    await expect(run(join(scratch.path, 'bare.json'))).rejects.toMatchObject({ code: 'PLAN_INVALID' });
    await expect(run(file, '--runs', '1')).rejects.toThrow(/2 to 100000/);
    await expect(run(file, '--seed', 'a b')).rejects.toThrow(/printable/);
  });
});
