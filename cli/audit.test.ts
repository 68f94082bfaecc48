import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEVICE, PSEUDONYM, signed, takePart } from '../auditor/bundle/testing.ts';
import { RunFixture } from '../auditor/testing.ts';
import { enrolledClient } from '../client/agent/testing.ts';
import { createVault } from '../client/vault/vault.ts';
import { fromUtf8, toHex, utf8 } from '../crypto/bytes.ts';
import { ledgerPseudonym } from '../protos/statements.ts';
import { PASSPHRASE, pulsefoldHere, temporaryDirectory } from './testing.ts';

const { path: root, dispose } = temporaryDirectory();
afterAll(dispose);

const run = new RunFixture();
const receipts = takePart(run).map((receipt) => signed(run, receipt));
const directory = run.write(join(root, 'runs', 'heart'));
const audit = (...words: string[]) => pulsefoldHere(['audit', ...words], { cwd: root });

describe('pulsefold audit, as a newcomer types it', () => {
  beforeAll(async () => {
    const { code, stdout } = await audit('export', 'runs', '--out', 'heart.bundle');
    expect([code, stdout]).toEqual([0, expect.stringContaining('pulsefold audit verify heart.bundle')]);
  });

  it('verify: every file intact, the audit passes, and what it rests on', async () => {
    const { code, stdout } = await audit('verify', 'heart.bundle');
    expect(code).toBe(0);
    expect(stdout).toMatch(/files intact, SHA-256 [0-9a-f]{64}\nOK: /);
    expect(stdout).toMatch(/^attested +The log is signed with a key that came with the evidence/m);
    expect(stdout).toMatch(/^checked +Every charge and every ε/m);
    expect(stdout).not.toMatch(/hospitals sampled/);
  });

  it('verify --json with pinned keys calls them checked', async () => {
    writeFileSync(join(root, 'log.key'), run.logKey);
    const approver = `ethics=${toHex(run.approver.publicKey)}`;
    const pins = ['--log-key', 'log.key', '--approver', approver, '--plan', run.parsed.hashHex];
    const { code, stdout } = await audit('verify', 'heart.bundle', ...pins, '--json');
    const result = JSON.parse(stdout);
    expect(code).toBe(0);
    expect(result).toMatchObject({ ok: true, findings: [], bundleFaults: [], bundle: { kind: 'bundle' } });
    const basis = Object.fromEntries(
      result.basis.map((item: { id: string; basis: string }) => [item.id, item.basis]),
    );
    expect(basis).toMatchObject({
      logPinned: 'checked',
      approversPinned: 'checked',
      planPinned: 'checked',
      view: 'attested',
    });
  });

  it('one flipped byte: exit code 1 and the place named', async () => {
    const bytes = readFileSync(join(root, 'heart.bundle'));
    bytes[bytes.indexOf('"kind":"release"')]! ^= 1;
    writeFileSync(join(root, 'flipped.bundle'), bytes);
    const json = await audit('verify', 'flipped.bundle', '--json');
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({
      ok: false,
      bundleFaults: [{ place: expect.stringMatching(/leaves\.ndjson$/), bytes: 4096 }],
    });
  });

  it('report: a file, and a refusal to write over it', async () => {
    const made = await audit(
      'report',
      'heart.bundle',
      '--month',
      '2026-09',
      '--language',
      'zh',
      '--out',
      'r.html',
    );
    expect([made.code, made.stderr]).toEqual([0, '']);
    expect(readFileSync(join(root, 'r.html'), 'utf8')).toContain('<html lang="zh-CN">');
    const again = await audit('report', 'heart.bundle', '--out', 'r.html');
    expect([again.code, again.stderr]).toEqual([
      1,
      expect.stringMatching(/CONFIG_INVALID: r\.html exists already/),
    ]);
  });

  it('prove: from a receipts file, and from a vault', async () => {
    const entries = receipts.map(({ receipt, signature }) => ({
      receipt: fromUtf8(receipt),
      signature: toHex(signature),
    }));
    writeFileSync(join(root, 'receipts.json'), JSON.stringify({ receipts: entries }));
    const plain = await audit('prove', 'receipts.json', '--bundle', 'heart.bundle');
    expect([plain.code, plain.stderr]).toEqual([0, '']);
    expect(plain.stdout).toMatch(/PROVEN: 2 rounds from 2 receipts/);
    expect(plain.stdout).toMatch(/all epochs │ person │ +2/);
    expect(plain.stdout).not.toContain(DEVICE);
    expect(plain.stdout).not.toContain(PSEUDONYM);

    const vault = await createVault(
      join(root, 'phone'),
      'intl',
      { passphrase: PASSPHRASE },
      { costLog2: 14, blockSize: 8, parallelism: 1 },
    );
    const { identity } = await enrolledClient(run.suite);
    await vault.saveIdentity(identity);
    await vault.put(`receipt-${run.parsed.hashHex}-1`, utf8(JSON.stringify(entries[0])));
    vault.close();
    const short = await audit('prove', 'phone', '--bundle', directory, '--json');
    expect(short.code).toBe(1);
    expect(JSON.parse(short.stdout)).toMatchObject({
      ok: false,
      receipts: 1,
      problems: ['CHARGED_WITHOUT_RECEIPT'],
      totals: [{ rounds: 2 }],
    });

    // The same run, but for a consent that the coordinator made up under the pseudonym of this phone.
    const secret = run.suite.mac(identity.signing.secretKey, utf8('pulsefold/v1/ledger-secret'));
    const { plan, hashHex: planHash } = run.parsed;
    const pseudonym = toHex(ledgerPseudonym(run.suite, secret, plan.epoch));
    const commitment = 'c'.repeat(64);
    const scope = `plan:${planHash}`;
    const made = { commitment, planHash, pseudonym, scope, purposeDigest: 'd'.repeat(64) };
    const { leaves } = run;
    run.leaves = [
      ...leaves,
      {
        kind: 'consent_commitment',
        version: 1,
        timeMs: Math.min(leaves.at(-1)!.timeMs, Date.now() - 86_400_000),
        ...made,
      },
    ];
    const forged = run.write(join(root, 'forged'));
    run.leaves = leaves;
    const found = JSON.parse((await audit('prove', 'phone', '--bundle', forged, '--json')).stdout);
    expect(found.problems).toEqual(expect.arrayContaining(['CONSENT_FORGED', 'CHARGED_WITHOUT_RECEIPT']));
  });

  it('prove without a bundle: says which is needed', async () => {
    const { code, stdout } = await audit('prove', 'receipts.json');
    expect(code).toBe(1);
    expect(stdout).toContain(`Neither plan nor bundle of ${run.parsed.hashHex.slice(0, 12)}.`);
    expect(stdout).toMatch(/BUNDLE_MISSING: .*audit export.*--bundle/);
  });

  it.each([
    ['prove runs --bundle heart.bundle', /NOT_FOUND: runs: holds no vault/],
    ['report heart.bundle --month 2026-13 --out x', /USAGE: .*Expected a month such as 2026-11/],
    ['export runs --out heart.bundle', /CONFIG_INVALID: heart\.bundle exists already/],
  ])('refuses: audit %s', async (words, message) => {
    const { code, stderr } = await audit(...words.split(' '));
    expect(code).toBeGreaterThan(0);
    expect(stderr).toMatch(message);
  });
});
