/** Goal: a plan that asks for consent invites nobody without one that covers it, and every consent is said and logged. */
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { toHex } from '../../crypto/bytes.ts';
import { type Consent, consentGap, consentRecord, consentScopeOf } from '../../protos/consent.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import {
  createDevices,
  createWorld,
  planOf,
  strongPrivacy,
  type TestDevice,
  type TestWorld,
  until,
} from '../testing.ts';
import type { Bench } from '../testing-bench.ts';
import { asking, consentOf, consentTo, leavesOf, TERMS, withdraw } from '../testing-rights.ts';
import { runPlan } from '../testing-running-plan.ts';
import {
  CONSENT_LOOKUP,
  CONSENT_MIGRATIONS,
  consentLackingAmong,
  hasConsent,
  REPEATS_MAX,
  REPEATS_PER_DAY_MAX,
} from './consents.ts';

const DAY_MS = 86_400_000;
const coded = (code: string) => expect.objectContaining({ code });
const familyOf = (family: string, total = '12') => ({
  ...strongPrivacy,
  quota: { family, share: '1', total: { epsilon: total, delta: '1/100000', order: 'zcdp' } },
});

let world: TestWorld;
let devices: TestDevice[];
let device: TestDevice;
let other: TestDevice;
let bench: Bench;
let parsed: ParsedPlan;
beforeAll(async () => {
  world = await createWorld();
  devices = await createDevices(world, 3);
  [device, other] = [devices[0]!, devices[1]!];
});
async function begin(): Promise<void> {
  parsed = asking(planOf(world, { privacy: familyOf('heart') }));
  bench = await runPlan(world, parsed);
}
const fresh = (): void => {
  beforeEach(begin);
  afterEach(() => bench.stop());
};
/** One coordinator for many attempts that change nothing. */
const shared = (prepare: () => Promise<unknown>): void => {
  beforeAll(async () => {
    await begin();
    await prepare();
  });
  afterAll(() => bench.stop());
};

const has = (plan: ParsedPlan, who = device, nowMs = bench.clock.nowMs()) =>
  bench.store.read('test', (db) => hasConsent(db, who.deviceId, plan, nowMs));
const checkIn = () => bench.checkIn(device, parsed, { waitMs: 5000 });

describe('check-in to a plan that asks for consent', () => {
  fresh();
  it('is refused without one, and open with one', async () => {
    await until('a round is open', () => bench.coordinator.find(parsed.hash)!.active !== null);
    await expect(checkIn()).rejects.toThrow(coded('CONSENT_MISSING'));
    await expect(checkIn()).rejects.toThrow(/pulsefold client consent/);
    expect(bench.store.read('t', (db) => db.all('SELECT * FROM invitations'))).toEqual([]);
    await consentTo(bench, device, consentOf(bench, device, parsed));
    expect((await checkIn()).invitation).toBeDefined();
    await expect(bench.checkIn(other, parsed, { waitMs: 5000 })).rejects.toThrow(coded('CONSENT_MISSING'));
  });

  it('of a plan that asks for none needs none and reads no table', () => {
    const plain = planOf(world, { privacy: familyOf('heart') });
    const noDatabase = new Proxy({}, { get: () => expect.unreachable('a lookup') }) as never;
    expect(hasConsent(noDatabase, device.deviceId, plain, 0)).toBe(true);
  });

  it('is refused from the end of a consent on', async () => {
    const expiresMs = bench.clock.nowMs() + DAY_MS;
    const receipt = await consentTo(bench, device, consentOf(bench, device, parsed, { expiresMs }));
    expect(receipt.expiresMs).toBe(expiresMs);
    expect(has(parsed, device, expiresMs - 1)).toBe(true);
    expect(has(parsed, device, expiresMs)).toBe(false);
    bench.clock.jump(DAY_MS);
    await expect(checkIn()).rejects.toThrow(coded('CONSENT_MISSING'));
    await consentTo(bench, device, consentOf(bench, device, parsed));
    expect((await checkIn()).invitation).toBeDefined();
  });
});

describe('a consent to one plan of a family', () => {
  shared(() => consentTo(bench, device, consentOf(bench, device, parsed)));
  const plan = (changes: object = {}, epoch = '1') =>
    asking(planOf(world, { name: 'heart-2', privacy: familyOf('heart'), epoch }), changes);
  const features = (columns: readonly string[]) => ({
    features: {
      ...parsed.plan.features,
      features: columns.map((column) => ({ column, kind: 'number', minimum: 0, maximum: 200 })),
    },
    model: { kind: 'lr', inputs: columns.length, hidden: [], activation: 'relu' },
  });

  it.each<[string, () => ParsedPlan, boolean]>([
    ['the same purpose', () => plan(), true],
    ['fewer columns', () => plan(features(['age'])), true],
    ['further columns', () => plan(features(['age', 'pulse', 'spo2'])), false],
    ['another purpose', () => plan({ purpose: 'To set insurance premiums.' }), false],
    ['another controller', () => plan({ consent: { ...TERMS, controller: 'Premium AG' } }), false],
    ['a shorter retention', () => plan({ consent: { ...TERMS, retentionDays: 7 } }), true],
    ['a longer retention', () => plan({ consent: { ...TERMS, retentionDays: 31 } }), false],
    ['another contact', () => plan({ consent: { ...TERMS, contact: 'elsewhere' } }), true],
    ['another epoch', () => plan({}, '2'), false],
    ['a larger epsilon', () => plan({ privacy: familyOf('heart', '13') }), false],
    ['a smaller epsilon', () => plan({ privacy: familyOf('heart', '11') }), true],
    ['another family', () => plan({ privacy: familyOf('sleep') }), false],
    ['no family', () => plan({ privacy: strongPrivacy }), false],
  ])('and a later plan with %s', (_name, later, covered) => {
    expect(has(parsed)).toBe(true);
    expect(has(later())).toBe(covered);
    expect(has(later(), other)).toBe(false);
  });

  it('is one of many that are looked up at a time', () => {
    const ids = devices.map(({ deviceId }) => deviceId);
    const lacking = bench.store.read('t', (db) => consentLackingAmong(db, ids, parsed, bench.clock.nowMs()));
    expect([...lacking].sort()).toEqual(ids.slice(1).sort());
    const database = new DatabaseSync(':memory:');
    for (const migration of CONSENT_MIGRATIONS) database.exec(migration);
    const steps = database.prepare(`EXPLAIN QUERY PLAN ${CONSENT_LOOKUP}`).all() as { detail: string }[];
    const onTable = steps.map(({ detail }) => detail).filter((detail) => /^\w+ [cn] /.test(detail));
    expect(onTable).toHaveLength(2);
    for (const step of onTable) expect(step).toMatch(/^SEARCH . USING PRIMARY KEY/);
  });
});

describe('the record of a consent', () => {
  fresh();

  it('narrowed later, the later one counts', async () => {
    await consentTo(bench, device, consentOf(bench, device, parsed, { retentionDays: 60 }));
    const long = asking(parsed, { name: 'longer', consent: { ...TERMS, retentionDays: 60 } });
    expect(has(long)).toBe(true);
    bench.clock.jump(1000);
    await consentTo(bench, device, consentOf(bench, device, parsed));
    expect(has(long)).toBe(false);
    expect(has(parsed)).toBe(true);
  });

  it('is one leaf under the pseudonym, without identifier, and one receipt however often it is sent', async () => {
    const signed = consentOf(bench, device, parsed);
    const receipt = await consentTo(bench, device, signed);
    bench.clock.jump(3 * DAY_MS);
    expect(await consentTo(bench, device, signed)).toEqual(receipt);
    const leaves = leavesOf(bench, 'consent_commitment');
    expect(leaves).toMatchObject([
      {
        commitment: receipt.commitment,
        planHash: parsed.hashHex,
        pseudonym: toHex(device.pseudonym('1')),
        scope: 'family:heart',
        purposeDigest: receipt.purposeDigest,
      },
    ]);
    expect(JSON.stringify(leaves)).not.toContain(device.deviceId);
  });

  it('does not come back after a withdrawal', async () => {
    await consentTo(bench, device, consentOf(bench, device, parsed));
    await withdraw(bench, device, parsed, 'family:heart');
    expect((await checkIn()).finished?.reason).toMatch(/withdrawn/);
    bench.clock.jump(1000);
    await expect(consentTo(bench, device, consentOf(bench, device, parsed))).rejects.toThrow(
      coded('WITHDRAWN'),
    );
    expect(leavesOf(bench, 'consent_commitment')).toHaveLength(1);
  });

  it('is not a way to fill the log or the store', async () => {
    const next = (hours: number) => {
      bench.clock.jump(hours * 3_600_000);
      return consentTo(bench, device, consentOf(bench, device, parsed));
    };
    for (let i = 0; i < REPEATS_PER_DAY_MAX; i++) await next(1);
    await expect(next(1)).rejects.toThrow(coded('UNAVAILABLE'));
    expect(has(parsed)).toBe(true);
    for (let i = REPEATS_PER_DAY_MAX; i < REPEATS_MAX; i++) await next(25);
    await expect(next(25)).rejects.toThrow(coded('FIELD_OUT_OF_RANGE'));
    expect(leavesOf(bench, 'consent_commitment')).toHaveLength(REPEATS_MAX);
    const columns = [
      ...Array.from({ length: 100 }, (_, i) => `a${i}`.padEnd(64, 'x')),
      'age',
      'event',
      'pulse',
    ];
    const long = consentOf(bench, other, parsed, { columns: columns.sort() });
    await expect(consentTo(bench, other, long)).rejects.toThrow(coded('WRONG_PLAN'));
  });

  it('replayed after a later one changes nothing', async () => {
    const wide = consentOf(bench, device, parsed, { retentionDays: 60 });
    await consentTo(bench, device, wide);
    bench.clock.jump(1000);
    await consentTo(bench, device, consentOf(bench, device, parsed));
    // Its receipt is given again; what counts stays the later one.
    await consentTo(bench, device, wide);
    expect(has(asking(parsed, { name: 'longer', consent: { ...TERMS, retentionDays: 60 } }))).toBe(false);
    // One that was signed before and never arrived cannot replace the later one.
    const lost = consentOf(bench, device, parsed, { retentionDays: 90, timeMs: bench.clock.nowMs() - 500 });
    await expect(consentTo(bench, device, lost)).rejects.toThrow(coded('STATEMENT_CONFLICT'));
  });
});

describe('a consent that ought not to count', () => {
  // The other one is known, so that taking its pseudonym would be theft.
  shared(() => consentTo(bench, other, consentOf(bench, other, parsed)));

  const forged = () => {
    const { consent, signature } = consentOf(bench, device, parsed);
    return { consent, signature: signature.map((byte, i) => (i === 5 ? byte ^ 1 : byte)) };
  };
  const widened = () => {
    const { consent, signature } = consentOf(bench, device, parsed);
    const wide = { ...consentRecord.parse(consent), retentionDays: 9999 };
    return { consent: consentRecord.encode(wide), signature };
  };
  const padded = () => {
    const { consent, signature } = consentOf(bench, device, parsed);
    return { consent: new Uint8Array([...consent, 32]), signature };
  };
  it.each<[string, () => object, string]>([
    ['a wrong signature', forged, 'BAD_SIGNATURE'],
    ['other words than were signed', widened, 'BAD_SIGNATURE'],
    ['another encoding', padded, 'MALFORMED_MESSAGE'],
    ['somebody else’s statement', () => consentOf(bench, other, parsed), 'BAD_SIGNATURE'],
    [
      'another device id',
      () => consentOf(bench, device, parsed, { deviceId: other.deviceId }),
      'BAD_SIGNATURE',
    ],
    [
      'another device’s pseudonym',
      () => consentOf(bench, device, parsed, { pseudonym: toHex(other.pseudonym('1')) }),
      'BUDGET_EXCEEDED',
    ],
    ['an old time', () => consentOf(bench, device, parsed, { timeMs: 1 }), 'BAD_SIGNATURE'],
    [
      'a time to come',
      () => consentOf(bench, device, parsed, { timeMs: bench.clock.nowMs() + DAY_MS }),
      'BAD_SIGNATURE',
    ],
    ['an end in the past', () => consentOf(bench, device, parsed, { expiresMs: 5 }), 'WRONG_PLAN'],
    [
      'another purpose',
      () => consentOf(bench, device, parsed, { purposeDigest: '0'.repeat(64) }),
      'WRONG_PLAN',
    ],
    [
      'a plan that is not there',
      () => consentOf(bench, device, parsed, { planHash: '0'.repeat(64) }),
      'WRONG_PLAN',
    ],
    ['columns missing', () => consentOf(bench, device, parsed, { columns: ['age'] }), 'WRONG_PLAN'],
    ['a foreign scope', () => consentOf(bench, device, parsed, { scope: 'family:sleep' }), 'WRONG_PLAN'],
    [
      'too many bytes',
      () => ({ consent: new Uint8Array(100_000), signature: new Uint8Array(64) }),
      'FIELD_OUT_OF_RANGE',
    ],
    ['no bytes', () => ({ consent: new Uint8Array(0), signature: new Uint8Array(64) }), 'FIELD_OUT_OF_RANGE'],
    ['a cut signature', () => ({ ...forged(), signature: new Uint8Array(63) }), 'FIELD_OUT_OF_RANGE'],
  ])('with %s is refused and changes nothing', async (_name, make, code) => {
    await expect(consentTo(bench, device, make() as never)).rejects.toThrow(coded(code));
    expect(leavesOf(bench, 'consent_commitment')).toHaveLength(1);
    expect(has(parsed)).toBe(false);
  });
});

describe('what a consent covers', () => {
  shared(async () => {});
  const day = fc.integer({ min: 1, max: 5 });
  const columns = fc.uniqueArray(fc.constantFrom('age', 'event', 'pulse', 'spo2'), { minLength: 1 });
  it('is never more than was said, whatever the plan asks', () => {
    const base = consentRecord.parse(consentOf(bench, device, parsed).consent);
    fc.assert(
      fc.property(columns, day, day, fc.boolean(), (said, days, asked, family) => {
        const given: Consent = {
          ...base,
          columns: [...said].sort(),
          retentionDays: days,
          ...(family ? {} : { scope: `plan:${parsed.hashHex}` }),
        };
        const later = asking(parsed, { name: 'later', consent: { ...TERMS, retentionDays: asked } });
        const covered = consentGap(given, later, given.timeMs) === undefined;
        const should =
          family &&
          asked <= days &&
          ['age', 'event', 'pulse'].every((column) => said.includes(column as never));
        return covered === should && consentScopeOf(later) === 'family:heart';
      }),
      { numRuns: 60 },
    );
  });
});
