// Goal: `audit prove` of an export without its bundle holds the pins that it can, refuses those that it cannot, and says
// what nobody checked.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { DEVICE, proofOf, signed, takePart } from '../../auditor/bundle/testing.ts';
import { RunFixture } from '../../auditor/testing.ts';
import { fromUtf8, toHex } from '../../crypto/bytes.ts';
import { formatPersonExport, PERSON_EXPORT_FORMAT } from '../../protos/person-export.ts';
import { parseReceipt, type Receipt } from '../../protos/receipt.ts';
import { pulsefoldHere, temporaryDirectory } from '../testing.ts';

const { path: root, dispose } = temporaryDirectory();
afterAll(dispose);

const run = new RunFixture();
const own = takePart(run);
const { hashHex: planHash, bytes, plan } = run.parsed;
const { name, purpose, epoch } = plan;

function write(file: string, receipts: readonly Receipt[]): void {
  const text = formatPersonExport({
    format: PERSON_EXPORT_FORMAT,
    version: 1,
    madeMs: 1_790_000_100_000,
    device: { deviceId: DEVICE, suite: 'intl', certificate: '', pseudonyms: [] },
    plans: [{ planHash, name, purpose, epoch, plan: fromUtf8(bytes) }],
    receipts: receipts.map((receipt) => {
      const { receipt: text, signature } = signed(run, receipt);
      const { round } = parseReceipt(text);
      return { planHash, round, receipt: fromUtf8(text), signature: toHex(signature) };
    }),
    logProofs: [1, 3].flatMap((round) => [
      proofOf(run, run.leaf('round_certificate', round), 'decision', round),
      proofOf(run, run.leaf('settlement', round), 'settlement', round),
    ]),
    consents: [],
    withdrawals: [],
    charges: [],
    alarms: [],
    logs: [],
    undecided: [],
  });
  writeFileSync(join(root, file), text);
}
write('part.json', own);
writeFileSync(join(root, 'log.key'), `${run.logKey}\n`);
writeFileSync(join(root, 'other.key'), `${new RunFixture().logKey}\n`);
const prove = (...words: string[]) => pulsefoldHere(['audit', 'prove', ...words], { cwd: root });

describe('audit prove without a bundle', () => {
  it('says that approvals are unchecked, and that nothing was pinned', async () => {
    const { code, stdout } = await prove('part.json');
    expect(code).toBe(0);
    expect(stdout).toMatch(/PROVEN: 2 rounds/);
    expect(stdout).toMatch(/Who approved the plan was not checked\./);
    expect(stdout).toMatch(/Neither log key, plan nor approver was pinned/);
  });

  it('holds --plan and --log-key', async () => {
    const right = await prove('part.json', '--plan', planHash, '--log-key', 'log.key');
    expect([right.code, right.stderr]).toEqual([0, '']);
    expect(right.stdout).toMatch(/Who approved the plan was not checked\./);
    expect(right.stdout).not.toMatch(/pinned/);
    const json = await prove('part.json', '--plan', planHash, '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: true, pinned: true });
  });

  it.each([
    ['--plan', 'f'.repeat(64)],
    ['--log-key', 'other.key'],
  ])('fails where %s is another', async (...pin) => {
    const { code, stdout } = await prove('part.json', ...pin);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^NOT PROVEN/);
    expect(stdout).toMatch(/PIN_DIFFERS: /);
    expect(stdout).not.toMatch(/was pinned/);
  });

  it.each([
    ['--approver', `ethics=${'a'.repeat(64)}`],
    ['--approvals', '1'],
    ['--policy', 'log.key'],
    ['--checkpoint', 'log.key'],
  ])('refuses %s, which needs the bundle', async (...pin) => {
    const { code, stdout, stderr } = await prove('part.json', '--plan', planHash, ...pin);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(new RegExp(`^error USAGE: ${pin[0]}: held against bundles only.*--bundle`));
  });

  it('proves nothing by signatures of nobody, nor by the coordinator alone', async () => {
    const [first, second] = own as [Receipt, Receipt];
    const signatures = first.certificate!.signatures.map((one) => ({ ...one, signature: '0'.repeat(128) }));
    const { certificate, inclusion: _i, charge: _c, ...late } = second;
    write('forged.json', [
      { ...first, certificate: { ...first.certificate!, signatures } },
      { ...late, outcome: 'late', pseudonym: '5'.repeat(64) },
    ]);
    const { code, stdout } = await prove('forged.json');
    expect(code).toBe(1);
    expect(stdout).toMatch(/QUORUM_MISSING: .*key holders/);
    expect(stdout).toMatch(/LOG_NOT_SHOWN: /);
  });
});
