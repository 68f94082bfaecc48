import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEVICE, PSEUDONYM, signed, takePart } from '../auditor/bundle/testing.ts';
import { RunFixture } from '../auditor/testing.ts';
import { createVault } from '../client/vault/vault.ts';
import { fromUtf8, toHex, utf8 } from '../crypto/bytes.ts';
import { PASSPHRASE, pulsefold, temporaryDirectory } from './testing.ts';

const { path: root, dispose } = temporaryDirectory();
afterAll(dispose);

const run = new RunFixture();
const receipts = takePart(run).map((receipt) => signed(run, receipt));
const directory = run.write(join(root, 'runs', 'heart'));
const audit = (...words: string[]) => pulsefold(['audit', ...words], { cwd: root });

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
    await vault.put('identity', utf8('{}'));
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
