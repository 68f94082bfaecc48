import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { toHex } from '../crypto/bytes.ts';
import type { Leaf, LeafOf } from '../crypto/log/leaves.ts';
import { RunFixture } from './testing.ts';
import { verifyRunDirectory } from './verify.ts';

const root = mkdtempSync(join(tmpdir(), 'pulsefold-audit-quota-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const quota = (changes: object = {}) => ({
  family: 'heart',
  share: '1/2',
  total: { epsilon: '8', delta: '0.00001', order: 'zcdp' },
  ...changes,
});
const audit = (run: RunFixture) => {
  const result = verifyRunDirectory(run.write(mkdtempSync(join(root, 'run-'))), {
    logKey: run.logKey,
    approvers: [{ id: 'ethics', publicKey: toHex(run.approver.publicKey) }],
    approvalsRequired: 1,
    planHash: run.parsed.hashHex,
  });
  return [...new Set(result.findings.filter((one) => one.severity === 'error').map((one) => one.code))];
};
/** A settlement of another plan of the same people, before this plan's. */
function charge(run: RunFixture, amount: string): void {
  const other = { ...run.leaf('settlement'), planHash: 'f'.repeat(64), charge: amount };
  run.leaves.splice(1, 0, other);
}

describe('plans that share a filter', () => {
  it('pass, also beside another plan that alone would break this plan’s ε', () => {
    const run = new RunFixture({ quota: quota() });
    expect(audit(run)).toEqual([]);
    // ρ = 0.4 is ε = 4.6: more than the plan's 3, less than the epoch's 8 with the plan's own charges on top.
    charge(run, '0.4');
    expect(audit(run)).toEqual([]);
  });

  it('are caught where they pass the filter together', () => {
    const run = new RunFixture({ quota: quota() });
    charge(run, '1.4');
    expect(audit(run)).toEqual(['BUDGET_EXCEEDED']);
  });

  it('are caught at another order than the shared one', () => {
    const run = new RunFixture({ quota: quota({ total: { epsilon: '8', delta: '0.00001', order: 16 } }) });
    expect(audit(run)).toEqual([]);
    for (const leaf of run.leaves) if ('order' in leaf) run.edit(leaf, { order: 'zcdp' });
    expect(audit(run)).toContain('CHARGE_MISMATCH');
  });
});

describe('a withdrawal in the log', () => {
  const withdrawn = (run: RunFixture, changes: object): Leaf =>
    ({
      kind: 'withdrawal',
      version: 1,
      timeMs: 1_790_000_000_000,
      commitment: '0'.repeat(64),
      planHash: run.parsed.hashHex,
      pseudonym: (run.leaf('settlement') as LeafOf<'settlement'>).pseudonyms[0]!,
      scope: '*',
      afterRound: 3,
      ...changes,
    }) as Leaf;

  it.each<[string, object, string[]]>([
    ['that lets the last charged round stand', {}, []],
    ['of somebody else', { pseudonym: 'e'.repeat(64), afterRound: 0 }, []],
    ['from another family', { scope: 'family:sleep', afterRound: 0 }, []],
    ['after round 1 makes round 3 a finding', { afterRound: 1 }, ['SETTLEMENT_MISMATCH']],
    ['from its family at once', { scope: 'family:heart', afterRound: 0 }, ['SETTLEMENT_MISMATCH']],
    ['in the time of another plan', { planHash: 'f'.repeat(64), afterRound: 3 }, ['SETTLEMENT_MISMATCH']],
  ])('%s', (_name, changes, errors) => {
    const run = new RunFixture({ quota: quota() });
    run.leaves.splice(1, 0, withdrawn(run, changes));
    expect(audit(run)).toEqual(errors);
  });
});
