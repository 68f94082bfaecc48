/**
 * Attacks on a round by a dishonest coordinator, with its Sybils or one corrupt holder, end to end: through the
 * coordinator's real intake, machine, store and opening, against real key holders. Each one first succeeds against
 * holders with the one rule taken out that stands in its way, and opens the victim's digits exactly.
 *
 * Where the attacks that issue 2 names are tested:
 *
 * | attack                                | one rule of one holder              | end to end                        |
 * |---------------------------------------|-------------------------------------|-----------------------------------|
 * | coordinator + one holder + one client |                                     | key-test.test.ts                  |
 * | one ciphertext submitted as the sum   | keyholder/attacks.test.ts           | here                              |
 * | … zeros in place of certified c1      | keyholder/attacks.test.ts           | the holder's side is the whole    |
 * | cohorts A and A∖{v}                   | keyholder/attacks.test.ts           | here (a store put back)           |
 * | a holder that equivocates             | keyholder/attacks.test.ts           | here                              |
 * | coordinator-minted Sybils             | keyholder/attacks.test.ts           | here                              |
 * | a swapped public key                  | keyholder/attacks.test.ts, client/  | attack-keys.test.ts               |
 * | a rogue b                             | crypto/secagg/ceremony.test.ts      | attack-keys.test.ts               |
 * | an inconsistent Shamir share          | keyholder/ceremonies.test.ts        | attack-keys.test.ts               |
 * | mixed model hashes                    | keyholder/attacks.test.ts           | here                              |
 * | crafted c1 (outside the model)        | crypto/secagg/crafted-c1.test.ts    | documented, docs/threat-model.md  |
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CommitteeKey, runCeremony } from '../../coordinator/rounds/ceremonies.ts';
import type { HolderPort } from '../../coordinator/rounds/holder-port.ts';
import {
  certificateDer,
  createCertificateAuthority,
  verifyCertificate,
} from '../../crypto/identity/certificate.ts';
import { countSignatures, type HolderRules, holderRules } from '../../keyholder/rules.ts';
import { Committee, type TestHolderOptions } from '../../keyholder/testing.ts';
import { certificateStatement } from '../../protos/statements.ts';
import {
  AttackedRound,
  away,
  createUpdate,
  ForgetfulStore,
  type RoundEnd,
  type RoundOptions,
  refusersOf,
  type Update,
} from './testing-attacks.ts';
import { createFederation, createIdentity, type FederationWorld, portOf } from './testing-federation.ts';

const DAY_MS = 86_400_000;
const DIGITS = 41;

let world: FederationWorld;
let base: Committee;
let key: CommitteeKey;
/** Honest people, the victim first. */
let honest: Update[];
const forks: Committee[] = [];

const digitsOf = (number: number) =>
  Int32Array.from({ length: DIGITS }, (_, i) => ((i * 37 + number * 101) % 401) - 200);
const minus = (a: Int32Array | null, b: Int32Array | null) => a!.map((value, i) => value - b![i]!);

beforeAll(async () => {
  world = await createFederation({ inputs: DIGITS - 1 });
  base = new Committee(world);
  key = await runCeremony(world.parsed, 1, base.holders.map(portOf));
  const identities = await Promise.all([0, 1, 2, 3].map(() => createIdentity(world)));
  honest = identities.map((identity, i) => createUpdate(world, key, identity, digitsOf(i)));
});
afterAll(() => {
  for (const committee of [base, ...forks]) committee?.close();
});

/** Ports to the committee, which has its key and no round yet; as it is, or weakened by name. */
function committee(options: TestHolderOptions | ((index: number) => TestHolderOptions) = {}): HolderPort[] {
  const fork = base.fork(options);
  forks.push(fork);
  return fork.holders.map(portOf);
}
const without = (rules: Partial<HolderRules>): TestHolderOptions => ({ rules });
const none = (): void => {};

function play(
  holders: readonly HolderPort[],
  updates: readonly Update[],
  options: RoundOptions = {},
): Promise<RoundEnd> {
  const terms = { cohortTarget: updates.length, ...options.terms };
  return new AttackedRound(world, key, holders, { ...options, terms }).play(updates);
}

/** No sum, and not one holder gave a partial decryption. */
function expectNothingOpened(end: RoundEnd): void {
  expect(end.sum).toBeNull();
  expect(end.state.partials).toEqual({});
  for (const { context } of forks.at(-1)!.holders)
    for (const set of [
      [1, 2],
      [1, 3],
      [1, 4],
      [2, 3],
      [2, 4],
      [3, 4],
    ])
      expect(context.store.partial({ planHash: world.parsed.hash, round: 1 }, set)).toBeUndefined();
}

it('an honest round in this harness opens the sum of all', async () => {
  const { sum, refusals } = await play(committee(), honest);
  expect(sum).toEqual(
    honest.map(({ digits }) => digits).reduce((a, b) => a.map((value, i) => value + b[i]!)),
  );
  expect(refusals).toEqual([]);
});

describe('devices that the coordinator minted around one victim', () => {
  let cohort: Update[];
  let anyAuthority: Partial<HolderRules>;
  beforeAll(async () => {
    const mint = await createCertificateAuthority({
      name: 'Pulsefold enrolment CA',
      notBeforeMs: Date.now() - DAY_MS,
      notAfterMs: Date.now() + DAY_MS,
    });
    const sybils = await Promise.all([5, 6].map(() => createIdentity(world, mint)));
    cohort = [
      honest[0]!,
      ...sybils.map((identity, i) => createUpdate(world, key, identity, digitsOf(5 + i))),
    ];
    anyAuthority = {
      deviceIdentity: (parsed, der, caDer, nowMs) => {
        try {
          return holderRules.deviceIdentity(parsed, der, caDer, nowMs);
        } catch {
          return verifyCertificate(der, certificateDer(mint.caPem), nowMs);
        }
      },
    };
  });

  it('fill K_min where any CA will do, and its update is the sum minus what they sent', async () => {
    const { sum } = await play(committee(without(anyAuthority)), cohort);
    expect(minus(minus(sum, cohort[1]!.digits), cohort[2]!.digits)).toEqual(honest[0]!.digits);
  });

  it('do not count: the holders accept the victim alone, and the round is aborted', async () => {
    const end = await play(committee(), cohort);
    expect(end.state.phase).toBe('aborted');
    expect(end.state.message).toBe('a quorum accepts only 1 of at least 3 uploads');
    expect(end.rejections).toEqual(['CERTIFICATE_UNTRUSTED']);
    expectNothingOpened(end);
  });

  it('nor when the coordinator ignores the rejections, nor with a minimum of its own', async () => {
    const claiming = committee().map(
      (port): HolderPort => ({
        ...port,
        accept: async (planHash, round, entries) => {
          await port.accept(planHash, round, entries);
          return { accepted: cohort.map(({ identity }) => identity.subjectId), rejected: [] };
        },
      }),
    );
    const ignored = await play(claiming, cohort);
    expect(refusersOf(ignored, 'certificate', 'CERTIFICATE_INVALID').length).toBeGreaterThanOrEqual(2);
    expectNothingOpened(ignored);
    const lowered = await play(committee(), cohort, { terms: { cohortMin: 1 } });
    expect(lowered.state.cohort).toEqual([honest[0]!.identity.subjectId]);
    expect(refusersOf(lowered, 'certificate', 'COHORT_TOO_SMALL').length).toBeGreaterThanOrEqual(2);
    expectNothingOpened(lowered);
  });
});

describe('one ciphertext submitted as the sum', () => {
  const alone = { terms: { cohortMin: 1 } };

  it('opens where the plan’s K_min is not looked at; is refused', async () => {
    const opened = await play(committee(without({ cohortSize: none })), honest.slice(0, 1), alone);
    expect(opened.sum).toEqual(honest[0]!.digits);
    const end = await play(committee(), honest.slice(0, 1), alone);
    expect(refusersOf(end, 'certificate', 'COHORT_TOO_SMALL').length).toBeGreaterThanOrEqual(2);
    expectNothingOpened(end);
  });
});

describe('cohorts A and A without v: a coordinator that puts its store back to before the upload of v', () => {
  it('gets both sums from holders that forget what they signed; the real ones refuse the second', async () => {
    const forgetful = committee({ openStore: (path) => new ForgetfulStore(path) });
    const whole = await play(forgetful, honest);
    // Each active set has answered one sum for good: the machine goes on to a set that has not.
    const rest = await play(forgetful, honest.slice(1));
    expect(minus(whole.sum, rest.sum)).toEqual(honest[0]!.digits);
    expect(refusersOf(rest, 'partial', 'STATEMENT_CONFLICT').length).toBeGreaterThanOrEqual(1);

    const holders = committee();
    expect((await play(holders, honest)).sum).not.toBeNull();
    const second = await play(holders, honest.slice(1));
    expect(second.sum).toBeNull();
    expect(refusersOf(second, 'certificate', 'STATEMENT_CONFLICT').length).toBeGreaterThanOrEqual(2);
    expect(second.state.certificateSigners.length).toBeLessThan(2);
  });
});

describe('a holder that equivocates', () => {
  /** Holder 4 signs whatever it is asked. Holders 1 and 2 are shown A, holder 3 is shown A without v. */
  async function split(rules: Partial<HolderRules>) {
    const holders = committee((index) =>
      index === 4 ? { rules, openStore: (path) => new ForgetfulStore(path) } : { rules },
    );
    const [first, second, third, fourth] = holders as [HolderPort, HolderPort, HolderPort, HolderPort];
    const whole = await play([first, second, away(third), fourth], honest);
    const rest = await play([away(first), away(second), third, fourth], honest.slice(1), {
      terms: { quorum: 2 },
    });
    return { whole, rest };
  }

  it('opens A and A without v where two signatures are a quorum; three are needed', async () => {
    const two: HolderRules['quorum'] = (plan, certificate, signatures) => {
      expect(countSignatures(plan, certificateStatement(certificate), signatures)).toBeGreaterThanOrEqual(2);
    };
    const weak = await split({ quorum: two });
    expect(minus(weak.whole.sum, weak.rest.sum)).toEqual(honest[0]!.digits);

    const { whole, rest } = await split({});
    expect(whole.sum).not.toBeNull();
    expect(rest.state.certificateSigners).toHaveLength(2);
    expect(rest.sum).toBeNull();
    expect(refusersOf(rest, 'partial', 'QUORUM_NOT_REACHED').length).toBeGreaterThanOrEqual(1);
  });
});

describe('mixed model hashes', () => {
  it('are certified and opened without that rule; are refused', async () => {
    const victim = honest[0]!.identity.subjectId;
    // A model made for the victim: what the others add is then easy to tell from what it adds.
    const modelOf = (deviceId: string) => (deviceId === victim ? '09'.repeat(32) : undefined);
    const opened = await play(committee(without({ oneBinding: none })), honest, { modelOf });
    expect(opened.sum).not.toBeNull();
    const end = await play(committee(), honest, { modelOf });
    expect(refusersOf(end, 'certificate', 'CERTIFICATE_INVALID').length).toBeGreaterThanOrEqual(2);
    expect(end.refusals.join()).toContain(`device ${victim} signed another model`);
    expectNothingOpened(end);
  });
});
