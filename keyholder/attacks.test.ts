/**
 * Attacks by the coordinator, its Sybils and one corrupt holder. Each first succeeds against a build with one
 * rule taken out, so that the test can fail, and is then refused by the real rules.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toHex } from '../crypto/bytes.ts';
import {
  certificateDer,
  createCertificateAuthority,
  verifyCertificate,
} from '../crypto/identity/certificate.ts';
import type { OpenReply } from '../protos/keyholder-messages.ts';
import { approvePlan, quorumOf } from '../protos/plan.ts';
import { certificateStatement } from '../protos/statements.ts';
import { countSignatures, type HolderRules, holderRules } from './rules.ts';
import { HolderStore, type StoredStatement } from './store.ts';
import {
  Committee,
  type CommitteeKey,
  createWorld,
  DAY_MS,
  planOf,
  START_MS,
  startHolder,
  type World,
} from './testing.ts';
import {
  acceptRequest,
  bindingOf,
  certifyAt,
  certifyRequest,
  createDevice,
  createDevices,
  createUpload,
  type Device,
  openAt,
  openHeader,
  openMessages,
  openSum,
  plainSum,
  sealUpload,
  type Upload,
} from './testing-uploads.ts';

const coded = (code: string, message = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

let world: World;
let base: Committee;
let key: CommitteeKey;
let devices: Device[];
let uploads: Upload[];
const forks: Committee[] = [];

beforeAll(async () => {
  world = await createWorld();
  base = new Committee(world);
  key = base.ceremony(1);
  devices = await createDevices(world, 4);
  uploads = devices.map((device, i) => createUpload(world, device, binding(), key.publicKey, i));
});
afterAll(() => {
  for (const committee of [base, ...forks]) committee.close();
});

const binding = (round = 1) => bindingOf(world, round, key.keyId);

/** The committee as it is, or with rules replaced at every holder. */
function fork(rules: Partial<HolderRules> = {}, openStore?: (path: string) => HolderStore) {
  const committee = base.fork({ rules, ...(openStore ? { openStore } : {}) });
  forks.push(committee);
  return committee.holders;
}

const none = (): void => {};

async function certifyAndOpen(holders: Committee['holders'], cohort: readonly Upload[], activeSet = [1, 2]) {
  const signatures = await certifyAt(world, holders.slice(0, 3), binding(), cohort);
  return openSum(world, cohort, await openAt(world, holders, binding(), cohort, signatures, activeSet));
}

/** Signatures by holders' raw keys over any statement, as corrupt holders could give them. */
const signedBy = (indices: readonly number[], statement: Uint8Array) =>
  indices.map((index) => {
    const { id, signing } = world.holderKeys[index - 1]!;
    return { holderId: id, signature: world.suite.sign(signing.secretKey, statement) };
  });

describe('one ciphertext submitted as the sum', () => {
  it('opens one update where the cohort size is not looked at; is refused', async () => {
    const victim = uploads.slice(0, 1);
    expect(await certifyAndOpen(fork({ cohortSize: none }), victim)).toEqual(victim[0]!.digits);
    const holders = fork();
    await expect(certifyAndOpen(holders, victim)).rejects.toThrow(
      coded('COHORT_TOO_SMALL', /1 .* minimum of 3/),
    );
    // Not even under the signatures of a whole quorum.
    const header = openHeader(world, binding(), victim, { signatures: [], activeSet: [1, 2] });
    const signatures = signedBy([1, 2, 3], certificateStatement(header));
    const opening = openAt(world, holders, binding(), victim, signatures, [1, 2]);
    await expect(opening).rejects.toThrow(coded('COHORT_TOO_SMALL'));
  });

  it('a K_min in the request is not listened to', async () => {
    const { service } = fork()[0]!;
    await service.accept(acceptRequest(world, 1, [uploads[0]!.entry]));
    const request = { ...certifyRequest(world, binding(), uploads.slice(0, 1)), cohortMin: 1, kMin: 1 };
    expect(() => service.certify(request)).toThrow(coded('COHORT_TOO_SMALL'));
  });

  it('nor a plan with a lower one that no pinned approver signed', () => {
    const lax = planOf(world, { cohortMin: 2, name: 'lax' });
    const ownKey = world.suite.generateSigningKey();
    const request = { plan: lax.bytes, approvals: [approvePlan(lax, 'ethics', ownKey)] };
    const [weakened] = fork({ planApproved: none });
    expect(weakened!.service.registerPlan(request).planHash).toEqual(lax.hash);
    const { service } = fork()[0]!;
    expect(() => service.registerPlan(request)).toThrow(coded('PLAN_NOT_APPROVED', /0 of 1/));
    const begin = { planHash: lax.hash, round: 1, phase: 'BEGIN', parts: [], shares: [] };
    expect(() => service.ceremonyStep(begin)).toThrow(coded('NOT_FOUND', /not registered/));
  });

  it('nor a plan that the lawyers have not signed, where their seat is asked for', () => {
    const lawyer = world.suite.generateSigningKey();
    const approvers = [
      { id: 'ethics', publicKey: toHex(world.approver.publicKey), seat: 'technical' as const },
      { id: 'counsel', publicKey: toHex(lawyer.publicKey), seat: 'legal' as const },
    ];
    const { service } = startHolder(world, 1, {
      approvals: { approvers, required: 1, seats: ['technical', 'legal'] },
    });
    const { parsed, approvals } = world;
    const request = { plan: parsed.bytes, approvals };
    expect(() => service.registerPlan(request)).toThrow(coded('PLAN_NOT_APPROVED', /legal seat/));
    const changed = planOf(world, { cohortMin: 3, name: 'changed' });
    const both = [...approvals, approvePlan(parsed, 'counsel', lawyer)];
    // Signed by all, for another plan.
    expect(() => service.registerPlan({ plan: changed.bytes, approvals: both })).toThrow(
      coded('PLAN_NOT_APPROVED', /0 of 1/),
    );
    expect(service.registerPlan({ ...request, approvals: both }).planHash).toEqual(parsed.hash);
  });
});

/** A holder that forgets what it signed. */
class ForgetfulStore extends HolderStore {
  override statement(): StoredStatement | undefined {
    return undefined;
  }
  override putStatement(): void {}
}

describe('cohorts A and A without v', () => {
  it('show the update of v where a holder signs twice; are refused', async () => {
    const rest = uploads.slice(1);
    const forgetful = fork({}, (path) => new ForgetfulStore(path));
    // Different active sets, so that the stored partial decryption does not stand in the way either.
    const whole = await certifyAndOpen(forgetful, uploads, [1, 2]);
    const without = await certifyAndOpen(forgetful, rest, [1, 3]);
    expect(whole.map((value, i) => value - without[i]!)).toEqual(uploads[0]!.digits);

    const holders = fork();
    await certifyAndOpen(holders, uploads, [1, 2]);
    await expect(certifyAndOpen(holders, rest, [1, 3])).rejects.toThrow(coded('STATEMENT_CONFLICT'));
    const header = openHeader(world, binding(), rest, { signatures: [], activeSet: [1, 3] });
    const signatures = signedBy([1, 2, 3, 4], certificateStatement(header));
    const opening = openAt(world, holders, binding(), rest, signatures, [1, 3]);
    await expect(opening).rejects.toThrow(coded('STATEMENT_CONFLICT'));
  });

  it('one active set answers one sum, even for a holder that signs twice', async () => {
    const forgetful = fork({}, (path) => new ForgetfulStore(path));
    await certifyAndOpen(forgetful, uploads, [1, 2]);
    await expect(certifyAndOpen(forgetful, uploads.slice(1), [1, 2])).rejects.toThrow(
      coded('STATEMENT_CONFLICT'),
    );
  });
});

describe('a holder that equivocates', () => {
  const rest = () => uploads.slice(1);
  /** Holders 1 and 2 are shown A, holder 3 is shown A′, holder 4 signs both with its raw key. */
  async function split(holders: Committee['holders']) {
    const a = await certifyAt(world, holders.slice(0, 2), binding(), uploads);
    const b = await certifyAt(world, holders.slice(2, 3), binding(), rest());
    const statementOf = (cohort: readonly Upload[]) =>
      certificateStatement(openHeader(world, binding(), cohort, { signatures: [], activeSet: [1, 2] }));
    return {
      a: [...a, ...signedBy([4], statementOf(uploads))],
      b: [...b, ...signedBy([4], statementOf(rest()))],
    };
  }

  it('opens A and A without v where two signatures make a quorum; is refused', async () => {
    const lax: HolderRules['quorum'] = (plan, certificate, signatures) => {
      expect(countSignatures(plan, certificateStatement(certificate), signatures)).toBeGreaterThanOrEqual(2);
    };
    const weakened = fork({ quorum: lax });
    const forged = await split(weakened);
    const open = async (
      cohort: Upload[],
      signatures: typeof forged.a,
      activeSet: number[],
      holders = weakened,
    ) => openSum(world, cohort, await openAt(world, holders, binding(), cohort, signatures, activeSet));
    const whole = await open(uploads, forged.a, [1, 2]);
    const without = await open(rest(), forged.b, [3, 4]);
    expect(whole.map((value, i) => value - without[i]!)).toEqual(uploads[0]!.digits);

    const holders = fork();
    const { a, b } = await split(holders);
    expect(await open(uploads, a, [1, 2], holders)).toEqual(plainSum(uploads));
    const refused = coded('QUORUM_NOT_REACHED', /2 of 3/);
    await expect(open(rest(), b, [3, 4], holders)).rejects.toThrow(refused);
    // The same signature three times, or one under another holder's name, is still one.
    const repeated = [...b, b[0]!, { holderId: 'platform', signature: b[1]!.signature }];
    await expect(open(rest(), repeated, [3, 4], holders)).rejects.toThrow(refused);
  });

  it('cannot make two certificates, however the three honest ones are split', () => {
    const quorum = quorumOf(world.parsed.plan);
    for (let mask = 0; mask < 8; mask++) {
      const signedA = [0, 1, 2].filter((i) => mask & (1 << i)).length + 1;
      const signedB = 3 - (signedA - 1) + 1;
      expect(signedA >= quorum && signedB >= quorum).toBe(false);
    }
  });
});

describe('devices that the coordinator minted', () => {
  it('surround a victim where any CA will do; do not count', async () => {
    const mint = await createCertificateAuthority({
      name: 'registrar',
      notBeforeMs: START_MS - DAY_MS,
      notAfterMs: START_MS + 365 * DAY_MS,
    });
    const mintDer = certificateDer(mint.caPem);
    const sybils = await Promise.all([1, 2].map(() => createDevice(world, { authority: mint })));
    const zeros = sybils.map((device): Upload => {
      const digits = new Int32Array(uploads[0]!.digits.length);
      return sealUpload(world, device, binding(), key.publicKey, digits);
    });
    const cohort = [uploads[0]!, ...zeros];
    const anyAuthority: HolderRules['deviceIdentity'] = (parsed, der, caDer, nowMs) => {
      try {
        return holderRules.deviceIdentity(parsed, der, caDer, nowMs);
      } catch {
        return verifyCertificate(der, mintDer, nowMs);
      }
    };
    expect(await certifyAndOpen(fork({ deviceIdentity: anyAuthority }), cohort)).toEqual(uploads[0]!.digits);

    const holders = fork();
    const entries = cohort.map((upload) => upload.entry);
    const reply = await holders[0]!.service.accept(acceptRequest(world, 1, entries));
    expect(reply.accepted).toEqual([uploads[0]!.device.id]);
    expect(reply.rejected.map(({ code }) => code)).toEqual([
      'CERTIFICATE_UNTRUSTED',
      'CERTIFICATE_UNTRUSTED',
    ]);
    await expect(certifyAndOpen(holders, cohort)).rejects.toThrow(
      coded('CERTIFICATE_INVALID', /not accepted/),
    );
    // A holder that was away is not fooled by entries sent along, even under a quorum.
    const header = openHeader(world, binding(), cohort, { signatures: [], activeSet: [3, 4] });
    const signatures = signedBy([1, 2, 3], certificateStatement(header));
    const opening = holders[3]!.service.open(openMessages({ ...header, signatures }, cohort));
    await expect(opening).rejects.toThrow(coded('CERTIFICATE_UNTRUSTED'));
  });

  it('nor certificates of another role, expired ones, or one device under another name', async () => {
    const { service } = fork()[0]!;
    const researcher = await createDevice(world, { role: 'researcher' });
    const expired = await createDevice(world, { notAfterMs: START_MS - 1 });
    const stolen = { ...uploads[0]!.entry, certificate: uploads[1]!.device.certificate };
    const entries = [researcher, expired].map(
      (device) => createUpload(world, device, binding(), key.publicKey).entry,
    );
    const reply = await service.accept(acceptRequest(world, 1, [...entries, stolen]));
    expect(reply.accepted).toEqual([]);
    expect(reply.rejected.map(({ code }) => code)).toEqual([
      'WRONG_ROLE',
      'CERTIFICATE_EXPIRED',
      'BAD_SIGNATURE',
    ]);
  });
});

describe('what the cohort signed', () => {
  it('is one model, one configuration: a mixed cohort is certified only without that rule', async () => {
    const other = { ...binding(), modelHash: new Uint8Array(32).fill(9) };
    const mixed = [...uploads.slice(0, 2), createUpload(world, devices[2]!, other, key.publicKey)];
    await expect(certifyAndOpen(fork({ oneBinding: none }), mixed)).resolves.toBeDefined();
    await expect(certifyAndOpen(fork(), mixed)).rejects.toThrow(
      coded('CERTIFICATE_INVALID', /signed another model/),
    );
  });

  it('is all that an entry of transport bfv carries', async () => {
    const stuffed = { ...uploads[0]!.entry, holderPart: uploads[0]!.holderPart.slice(0, 16 * 1024) };
    const [weakened] = fork({ entryParts: none });
    expect((await weakened!.service.accept(acceptRequest(world, 1, [stuffed]))).accepted).toHaveLength(1);
    const reply = await fork()[0]!.service.accept(acceptRequest(world, 1, [stuffed]));
    expect(reply.rejected.map(({ code }) => code)).toEqual(['MALFORMED_MESSAGE']);
  });

  it('is for this round and this plan: entries are not replayed', async () => {
    const holders = fork({ entryBelongs: none });
    const later = { ...binding(2), committeeKeyId: key.keyId };
    const replayed = createUpload(world, devices[0]!, later, key.publicKey);
    const foreign = createUpload(
      world,
      devices[1]!,
      { ...binding(), planHash: new Uint8Array(32) },
      key.publicKey,
    );
    const request = acceptRequest(world, 1, [replayed.entry, foreign.entry]);
    expect((await holders[0]!.service.accept(request)).accepted).toHaveLength(2);
    const reply = await fork()[0]!.service.accept(request);
    expect(reply.accepted).toEqual([]);
    expect(reply.rejected.map(({ code }) => code)).toEqual(['WRONG_ROUND', 'WRONG_PLAN']);
  });

  it("is under the holders' own key: a swapped committee key is not certified", async () => {
    // The coordinator makes a key of its own (here: another ceremony) and hands it to clients that do not look.
    const foreign = base.ceremony(2);
    const swapped = bindingOf(world, 1, foreign.keyId);
    const cohort = devices.map((device, i) => createUpload(world, device, swapped, foreign.publicKey, i));
    const certify = (holders: Committee['holders']) => certifyAt(world, holders.slice(0, 3), swapped, cohort);
    expect(await certify(fork({ ownCommitteeKey: none }))).toHaveLength(3);
    const holders = fork();
    const reply = await holders[0]!.service.accept(
      acceptRequest(
        world,
        1,
        cohort.map((upload) => upload.entry),
      ),
    );
    expect(new Set(reply.rejected.map(({ code }) => code))).toEqual(new Set(['WRONG_COMMITTEE_KEY']));
    await expect(certify(holders)).rejects.toThrow(coded('WRONG_COMMITTEE_KEY'));
  });
});

describe('a ciphertext other than the signed one', () => {
  it('isolates a victim where digests are not compared; is refused', async () => {
    // Certified: four updates. Sent for opening: the victim's, and zeros in place of the others.
    const length = uploads[0]!.digits.length;
    const zero = ({ device, entry }: Upload): Upload => ({
      ...sealUpload(world, device, binding(), key.publicKey, new Int32Array(length)),
      entry,
    });
    const switched = [uploads[0]!, ...uploads.slice(1).map(zero)];
    const isolate = async (holders: Committee['holders']) => {
      const signatures = await certifyAt(world, holders.slice(0, 3), binding(), uploads);
      const header = openHeader(world, binding(), uploads, { signatures, activeSet: [1, 2] });
      const partials: OpenReply[] = [];
      for (const index of [1, 2])
        partials.push(await holders[index - 1]!.service.open(openMessages(header, switched)));
      return openSum(world, switched, partials);
    };
    expect(await isolate(fork({ uploadDigest: none }))).toEqual(uploads[0]!.digits);
    const refused = coded('DIGEST_MISMATCH', new RegExp(uploads[1]!.device.id));
    await expect(isolate(fork())).rejects.toThrow(refused);
  });
});
