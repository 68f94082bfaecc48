import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { toHex, utf8 } from '../../crypto/bytes.ts';
import { encodeReceipt, type Receipt } from '../../protos/receipt.ts';
import { RunFixture } from '../testing.ts';
import { type HistoryRun, openHistoryRun, proveHistory } from './history.ts';
import { parseReceiptsFile, type SignedReceipt } from './receipts-file.ts';
import { DEVICE, PSEUDONYM, signed, takePart } from './testing.ts';

const root = mkdtempSync(join(tmpdir(), 'pulsefold-history-test-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const run = new RunFixture();
const receipts = takePart(run);
const opened = openHistoryRun(run.write(join(root, 'run')), { logKey: run.logKey });
const prove = (list: readonly SignedReceipt[], runs: readonly HistoryRun[] = [opened]) =>
  proveHistory(list, runs);
const both = receipts.map((receipt) => signed(run, receipt));

describe("a participant's history", () => {
  it('is proven from receipts and log, and ε is recomputed', () => {
    const history = prove(both);
    expect(history).toMatchObject({ ok: true, receipts: 2, problems: [] });
    expect(history.entries.map(({ round, charged, proven }) => [round, charged, proven])).toEqual([
      [1, true, true],
      [3, true, true],
    ]);
    const [total] = history.totals;
    const filter = opened.result!.budget!.epsilon;
    expect(total).toMatchObject({ unit: 'person', rounds: 2, delta: 1e-5 });
    // Bounds at many orders: never above what the filter's one order gives, and not far below it.
    expect(total!.epsilon).toBeLessThanOrEqual(filter + 1e-9);
    expect(total!.epsilon).toBeGreaterThan(0.9 * filter);
    expect(history.entries[0]!.epsilonAlone).toBeLessThan(total!.epsilon);
    expect(history.epochs).toEqual([{ epoch: '1', ...total }]);
  });

  it('adds up over epochs', () => {
    const other = new RunFixture();
    const more = takePart(other).map((receipt) => signed(other, receipt));
    const second = openHistoryRun(other.write(join(root, 'second')), { logKey: other.logKey });
    const later: HistoryRun = {
      ...second,
      parsed: { ...second.parsed, plan: { ...second.parsed.plan, epoch: '2' } },
    };
    const history = prove([...both, ...more], [opened, later]);
    expect(history.ok).toBe(true);
    expect(history.epochs.map(({ epoch, rounds }) => [epoch, rounds]).sort()).toEqual([
      ['1', 2],
      ['2', 2],
    ]);
    const [one, two] = history.epochs.map(({ epsilon }) => epsilon);
    const all = history.totals[0]!.epsilon;
    expect(all).toBeGreaterThan(Math.max(one!, two!));
    expect(all).toBeLessThan(one! + two!);
  });

  it('never shows the device id or a pseudonym', () => {
    const text = JSON.stringify(prove(both));
    expect(text).not.toContain(DEVICE);
    expect(text).not.toContain(PSEUDONYM);
  });
});

describe('what is not proven is named', () => {
  const problems = (list: readonly SignedReceipt[], runs?: readonly HistoryRun[]) => {
    const history = prove(list, runs);
    expect(history.ok).toBe(
      history.problems.every((problem) => problem === 'RECEIPT_TWICE') && list.length > 0,
    );
    return history.problems;
  };
  const [first, second] = receipts as [Receipt, Receipt];

  it('a charge without a receipt', () => {
    const history = prove([both[0]!]);
    expect(history.problems).toEqual(['CHARGED_WITHOUT_RECEIPT']);
    // It still counts: the log did charge.
    expect(history.totals[0]!.rounds).toBe(2);
  });

  it('a signature of somebody else, and bytes that changed', () => {
    const other = new RunFixture();
    expect(problems([signed(other, first), both[1]!])).toContain('RECEIPT_NOT_SIGNED');
    const changed = { ...both[0]!, receipt: encodeReceipt({ ...first, digest: 'f'.repeat(64) }) };
    expect(problems([changed, both[1]!])).toContain('RECEIPT_NOT_SIGNED');
    expect(problems([{ ...both[0]!, receipt: utf8('{}') }, both[1]!])).toContain('RECEIPT_MALFORMED');
  });

  it('a coordinator that signs what is not so', () => {
    const lie = (change: Partial<Receipt>) => problems([signed(run, { ...first, ...change }), both[1]!]);
    expect(lie({ digest: 'f'.repeat(64) })).toEqual(['NOT_IN_COHORT']);
    expect(lie({ deviceId: 'cd'.repeat(16) })).toEqual(['NOT_IN_COHORT']);
    expect(lie({ inclusion: { ...first.inclusion!, index: 1 } })).toEqual(['NOT_IN_COHORT']);
    expect(lie({ charge: { order: 'zcdp', amount: '0' } })).toEqual(['CHARGE_DIFFERS']);
    expect(lie({ certificate: second.certificate! })).toContain('CERTIFICATE_NOT_IN_LOG');
    expect(lie({ pseudonym: '5'.repeat(64) })).toContain('NOT_CHARGED_IN_LOG');
    const { certificate: _, inclusion: __, ...bare } = first;
    expect(problems([signed(run, { ...bare, outcome: 'late' }), both[1]!])).toEqual([
      'CHARGED_AGAINST_RECEIPT',
    ]);
    const exclusion = { leafHashes: run.roundFiles.get(1)!.cohortLeafHashes! };
    const denied: Receipt = { ...bare, outcome: 'late', certificate: first.certificate!, exclusion };
    expect(problems([signed(run, denied), both[1]!])).toContain('EXCLUSION_INVALID');
  });

  it('a bundle that is not there, a receipt twice, two stories of one round', () => {
    expect(problems(both, [])).toEqual(['BUNDLE_MISSING']);
    expect(problems([...both, both[0]!])).toEqual(['RECEIPT_TWICE']);
    const other = signed(run, { ...first, charge: { order: 'zcdp', amount: '0' } });
    expect(problems([...both, other])).toEqual(['RECEIPT_CONFLICT']);
  });

  it('a run whose audit fails', () => {
    const forged = new RunFixture();
    const own = takePart(forged).map((receipt) => signed(forged, receipt));
    forged.edit(forged.leaf('release', 3), { epsilon: '0.1' });
    const bad = openHistoryRun(forged.write(join(root, 'forged')), { logKey: forged.logKey });
    expect(problems(own, [bad])).toEqual(['RUN_NOT_SOUND']);
  });
});

describe('a receipts file', () => {
  const entry = { receipt: new TextDecoder().decode(both[0]!.receipt), signature: toHex(both[0]!.signature) };
  it.each([
    ['a list', JSON.stringify({ receipts: [entry] })],
    ['one receipt', JSON.stringify(entry)],
    ['one a line', `${JSON.stringify(entry)}\n${JSON.stringify(entry)}\n`],
    ['with other fields', JSON.stringify({ format: 'x', receipts: [{ ...entry, note: 1 }] }, null, 2)],
  ])('is read as %s', (_name, text) => {
    expect(parseReceiptsFile(utf8(text))[0]).toEqual(both[0]);
  });
  it.each([
    ['no JSON', 'receipts', /is not JSON/],
    ['a broken line', `${JSON.stringify(entry)}\n{`, /line 2 of the receipts file/],
    ['no signature', JSON.stringify({ receipts: [{ receipt: entry.receipt }] }), /receipts\.0\.signature/],
    ['nothing', '{"receipts":[]}', /holds no receipt/],
  ])('is refused: %s', (_name, text, message) => {
    expect(() => parseReceiptsFile(utf8(text))).toThrow(message);
  });
});
