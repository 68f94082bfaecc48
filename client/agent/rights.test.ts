/**
 * Goal: a device joins nothing that its person has not agreed to, believes no receipt that is not the coordinator's, and
 * what it exports is whole and its own.
 */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '../../crypto/bytes.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import { randomBytes } from '../../crypto/random.ts';
import { consentRecord, retentionInWords } from '../../protos/consent.ts';
import { formatPersonExport, parsePersonExport } from '../../protos/person-export.ts';
import type { SubjectReport } from '../../protos/subject-access.ts';
import { destroyVault } from '../vault/destroy.ts';
import { readKeepsakes } from '../vault/keepsakes.ts';
import { readVaultReceipts } from '../vault/receipts.ts';
import { createVault } from '../vault/vault.ts';
import { disclosureOf, giveConsent } from './consent.ts';
import { eraseAtCoordinator } from './erase.ts';
import { exportOfVault, personExportOf } from './export.ts';
import { MemoryClientStore, openVaultStore } from './store.ts';
import { askSubjectAccess } from './subject-access.ts';
import { FakeClock, RandomSealer } from './testing.ts';
import { agentOf, codeOf } from './testing-agent.ts';
import { FakeCoordinator } from './testing-coordinator.ts';
import { type Lies, TERMS, withRights } from './testing-rights.ts';

const DAY_MS = 86_400_000;

async function world(lies: Lies = {}, changes: object = {}) {
  const coordinator = await FakeCoordinator.create({ consent: TERMS, ...changes });
  coordinator.openRound(1);
  const rounds = withRights(coordinator, lies);
  const store = new MemoryClientStore();
  const clock = new FakeClock();
  const open = () => agentOf(coordinator, { rounds, store, clock, sealer: new RandomSealer(1000) });
  return { coordinator, rounds, store, clock, open };
}
type World = Awaited<ReturnType<typeof world>>;
const consentIn = async ({ open }: Pick<World, 'open'>, options = {}) =>
  giveConsent(await open().rights(), options);

describe('a plan that asks for consent', () => {
  it('is not joined without one; the device does not even check in', async () => {
    const w = await world();
    const summary = await w.open().join();
    expect(summary).toMatchObject({ ended: 'stopped', code: 'CONSENT_MISSING', rounds: [] });
    expect(summary.reason).toMatch(/has given none.*pulsefold client consent/);
    expect(w.coordinator.checkIns).toEqual([]);
    await consentIn(w);
    expect((await w.open().join()).rounds).toHaveLength(1);
  });

  it('the same plan without the field is joined at once: what stops the device is this check alone', async () => {
    const w = await world({}, { consent: undefined });
    expect((await w.open().join()).rounds).toHaveLength(1);
  });

  it('is told in full before anybody answers', async () => {
    const { open } = await world();
    const { session, state, nowMs } = await open().rights();
    const told = disclosureOf(session.parsed, state, nowMs());
    expect(told).toMatchObject({
      purpose: 'a test',
      controller: 'Heart Institute',
      contact: 'privacy@heart.example',
      extent: 'plan',
      columns: ['a', 'b', 'y'],
      label: 'y',
      retentionDays: 30,
      given: false,
    });
    expect(told.recipients.map(({ who }) => who).join()).toMatch(/coordinator.*hospital.*registrar/s);
    // ε = 8: 1 / (1 + e^-8) = 0.99966…
    expect(told.privacyInWords).toMatch(/at most 99\.97 % sure/);
    expect(told.kept).toEqual(retentionInWords(30));
  });

  it.each<[string, object, RegExp]>([
    ['another purpose', { purpose: 'something else' }, /another purpose or controller/],
    [
      'another controller',
      { consent: { ...TERMS, controller: 'Premium AG' } },
      /another purpose or controller/,
    ],
    ['another epoch', { epoch: '2' }, /for budget epoch 1/],
    ['longer retention', { consent: { ...TERMS, retentionDays: 31 } }, /shorter retention/],
  ])('of the family but with %s needs another consent', async (_name, changes, why) => {
    const quota = { family: 'heart', share: '1', total: { epsilon: '8', delta: '0.00001', order: 'zcdp' } };
    const privacy = {
      unit: 'person',
      epsilon: '8',
      delta: '0.00001',
      gamma: '1/3',
      noiseVariance: '65536',
      quota,
    };
    const w = await world({}, { privacy });
    await consentIn(w);
    w.coordinator.replacePlan({ consent: TERMS, privacy, name: 'a-second' });
    w.coordinator.openRound(1);
    expect((await w.open().join()).rounds).toHaveLength(1);
    w.coordinator.replacePlan({ consent: TERMS, privacy, name: 'a-third', ...changes });
    w.coordinator.openRound(1);
    const summary = await w.open().join();
    expect(summary).toMatchObject({ code: 'CONSENT_MISSING', rounds: [] });
    expect(summary.reason).toMatch(why);
  });

  it('is left when the consent ends, and joined again under a new one', async () => {
    const w = await world();
    const receipt = await consentIn(w, { expiresMs: w.clock.nowMs() + DAY_MS });
    expect(receipt.expiresMs).toBe(w.clock.nowMs() + DAY_MS);
    await w.clock.sleep(DAY_MS);
    expect((await w.open().join()).reason).toMatch(/has expired/);
    expect(await codeOf(consentIn(w, { expiresMs: 5 }))).toBe('FIELD_OUT_OF_RANGE');
    await consentIn(w);
    expect((await w.open().join()).rounds).toHaveLength(1);
  });

  it('without an end follows one with an end at once, when a person says so', async () => {
    const w = await world();
    await consentIn(w, { expiresMs: w.clock.nowMs() + DAY_MS });
    await w.clock.sleep(1000);
    expect((await consentIn(w)).expiresMs).toBeUndefined();
    await w.clock.sleep(DAY_MS);
    expect((await w.open().join()).rounds).toHaveLength(1);
    await consentIn(w);
    expect(w.rounds.asked).toEqual(['consent', 'consent']);
  });
});

describe('a consent', () => {
  it('is kept with its receipt and sent once', async () => {
    const w = await world();
    const receipt = await consentIn(w);
    expect(await consentIn(w)).toEqual(receipt);
    expect(w.rounds.asked).toEqual(['consent']);
    const [kept] = (await w.store.loadState()).consents;
    expect(consentRecord.parse(utf8(kept!.consent))).toMatchObject({
      columns: ['a', 'b', 'y'],
      retentionDays: 30,
    });
    expect(kept!.receipt).toContain(receipt.commitment);
  });

  it.each<[string, Lies, string]>([
    ['not signed by the coordinator', { signature: (s) => s.map((byte) => byte ^ 1) }, 'BAD_SIGNATURE'],
    ['of another device', { consent: (r) => ({ ...r, deviceId: '0'.repeat(32) }) }, 'MALFORMED_MESSAGE'],
    [
      'of another purpose',
      { consent: (r) => ({ ...r, purposeDigest: '0'.repeat(64) }) },
      'MALFORMED_MESSAGE',
    ],
    ['of a wider scope', { consent: (r) => ({ ...r, scope: 'family:all' }) }, 'MALFORMED_MESSAGE'],
    ['with another end', { consent: (r) => ({ ...r, expiresMs: 1 }) }, 'MALFORMED_MESSAGE'],
    [
      'with another commitment',
      { consent: (r) => ({ ...r, commitment: '0'.repeat(64) }) },
      'MALFORMED_MESSAGE',
    ],
  ])('with a receipt %s is not believed', async (_name, lies, code) => {
    const w = await world(lies);
    expect(await codeOf(consentIn(w))).toBe(code);
    expect((await w.store.loadState()).consents[0]).not.toHaveProperty('receipt');
  });

  it('does not undo a withdrawal', async () => {
    const w = await world();
    await consentIn(w);
    await w.open().withdraw('plan');
    expect(await codeOf(consentIn(w))).toBe('WITHDRAWN');
    expect(await w.open().join()).toMatchObject({ code: 'WITHDRAWN' });
    expect(w.rounds.asked).toEqual(['consent']);
  });

  it('to a plan that asks for none is not given', async () => {
    const w = await world({}, { consent: undefined });
    expect(await codeOf(consentIn(w))).toBe('WRONG_PLAN');
  });
});

describe("the coordinator's report", () => {
  const verdict = {
    planHash: 'a'.repeat(64),
    round: 1,
    holder: 'hospital',
    accepted: true,
    reason: 'x'.repeat(600),
  };
  const long = (report: SubjectReport) => ({
    ...report,
    verdicts: Array.from({ length: 2000 }, () => verdict),
  });

  it('comes in pages and is compared with its receipt', async () => {
    const w = await world({ report: long });
    const { report } = await askSubjectAccess(await w.open().rights());
    expect(report.verdicts).toHaveLength(2000);
    expect(w.rounds.asked).toEqual(['access 0', 'access 524288', 'access 1048576']);
  });

  it.each<[string, Lies, string]>([
    ['unsigned', { signature: (s) => s.map((byte) => byte ^ 1) }, 'BAD_SIGNATURE'],
    ['of another device', { report: (r) => ({ ...r, deviceId: '0'.repeat(32) }) }, 'MALFORMED_MESSAGE'],
    [
      'changed on the way',
      { page: (data) => data.map((byte, i) => (i === 30 ? byte ^ 1 : byte)) },
      'DIGEST_MISMATCH',
    ],
    ['that never ends', { page: () => new Uint8Array(0) }, 'DIGEST_MISMATCH'],
    ['too long', { page: (data) => new Uint8Array([...data, 1]) }, 'DIGEST_MISMATCH'],
  ])('%s is refused', async (_name, lies, code) => {
    const w = await world(lies);
    expect(await codeOf(askSubjectAccess(await w.open().rights()))).toBe(code);
  });
});

describe('an erasure', () => {
  it('stops the device before it asks, and keeps it stopped', async () => {
    const w = await world();
    await consentIn(w);
    const { content } = await eraseAtCoordinator(await w.open().rights());
    expect(content.erased).toHaveLength(1);
    expect(await w.open().join()).toMatchObject({ code: 'WITHDRAWN' });
    expect(w.coordinator.checkIns).toEqual([]);
  });

  it.each<[string, Lies, string]>([
    ['unsigned', { signature: (s) => s.map((byte) => byte ^ 1) }, 'BAD_SIGNATURE'],
    ['of another device', { erase: (r) => ({ ...r, deviceId: '0'.repeat(32) }) }, 'MALFORMED_MESSAGE'],
    ['of something else', { erase: (r) => ({ ...r, commitment: '0'.repeat(64) }) }, 'MALFORMED_MESSAGE'],
  ])('with a receipt %s is an error, and the device stays stopped', async (_name, lies, code) => {
    const w = await world(lies);
    expect(await codeOf(eraseAtCoordinator(await w.open().rights()))).toBe(code);
    expect((await w.store.loadState()).withdrawals).toMatchObject([{ scope: '*' }]);
  });
});

describe('an export from a vault', () => {
  const directories: string[] = [];
  afterEach(async () => {
    for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true });
  });
  async function vaulted() {
    const directory = await mkdtemp(join(tmpdir(), 'pulsefold-export-'));
    directories.push(directory);
    const w = await world();
    const vault = await createVault(directory, 'intl', { key: randomBytes(32) });
    const store = await openVaultStore(vault);
    const open = () =>
      agentOf(w.coordinator, { rounds: w.rounds, store, clock: w.clock, sealer: new RandomSealer(1000) });
    await giveConsent(await open().rights());
    await open().join();
    return { ...w, vault, store, open, directory };
  }

  it('has plan, consent, receipts and the report, and reads back', async () => {
    const { open, vault, store, coordinator } = await vaulted();
    const parts = await open().rights();
    const made = personExportOf({
      identity: coordinator.identity,
      suite: getSuite('intl'),
      state: await store.loadState(),
      receipts: await readVaultReceipts(vault),
      keepsakes: await readKeepsakes(vault),
      report: await askSubjectAccess(parts),
      data: [{ name: 'train.csv', text: 'a,b,y\n' }],
      nowMs: 5,
    });
    const text = formatPersonExport(made);
    expect(parsePersonExport(utf8(text))).toEqual(made);
    expect(made).toMatchObject({
      plans: [{ planHash: coordinator.parsed.hashHex, plan: fromUtf8(coordinator.parsed.bytes) }],
      consents: [{ receipt: expect.any(String) }],
      receipts: [{ round: 1 }],
      charges: [{ pseudonym: made.device.pseudonyms[0]!.pseudonym }],
      coordinator: { report: { kind: 'subject-access-report' } },
    });
    expect(Number(made.charges[0]!.amount)).toBeGreaterThan(0);
    // Without the coordinator, from the vault alone.
    const { coordinator: _report, data: _data, logProofs, device, ...kept } = made;
    const { epoch } = device.pseudonyms[0]!;
    await vault.saveIdentity(coordinator.identity);
    const alone = await exportOfVault(vault, 5, ['later']);
    expect(alone).toMatchObject({ ...kept, logProofs: logProofs.filter(({ what }) => what === 'decision') });
    expect(alone.device.pseudonyms.map((one) => one.epoch)).toEqual([epoch, 'later']);
    // What is secret stays: no key is in it.
    const { signing, sealing, tlsKeyPem } = coordinator.identity;
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
    const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
    const secrets = [signing, sealing].flatMap(({ secretKey }) => [hex(secretKey), base64(secretKey)]);
    for (const secret of [...secrets, tlsKeyPem, 'PRIVATE KEY']) expect(text).not.toContain(secret);
    await store.close();
  });

  it('keeps a plan that a later version refuses as it is, and says so; everything else is there', async () => {
    const { coordinator, store } = await world();
    const plan = fromUtf8(coordinator.parsed.bytes);
    const refused = plan.replace('"learningRate":{"real":"0.5"}', '"learningRate":1000');
    expect(refused).not.toBe(plan);
    const planHash = coordinator.parsed.hashHex;
    const old = { planHash: 'f'.repeat(64), plan: refused };
    const made = personExportOf({
      identity: coordinator.identity,
      suite: getSuite('intl'),
      state: await store.loadState(),
      receipts: [],
      keepsakes: { plans: [old, { planHash, plan }], logProofs: [] },
      report: undefined,
      data: undefined,
      nowMs: 5,
    });
    expect(made).toMatchObject({
      plans: [{ planHash, plan }],
      unreadablePlans: [{ ...old, reason: expect.stringContaining('learningRate') }],
    });
    expect(parsePersonExport(utf8(formatPersonExport(made)))).toEqual(made);
  });

  it('is the last thing before nothing is left: the vault is destroyed, other files are not', async () => {
    const { vault, store, directory } = await vaulted();
    await writeFile(join(directory, 'notes.txt'), 'mine');
    await store.close();
    vault.close();
    await destroyVault(directory);
    expect(await readdir(directory)).toEqual(['notes.txt']);
    await rm(join(directory, 'notes.txt'));
    await destroyVault(directory);
    await expect(readdir(directory)).rejects.toThrow(/ENOENT/);
  });
});
