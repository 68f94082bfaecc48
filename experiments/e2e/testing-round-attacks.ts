/**
 * Attacks on a round by a dishonest coordinator, with its Sybils or one corrupt holder, end to end: through the
 * coordinator's real intake, machine, store and opening, against real key holders, under either transport, short and
 * long. Each one first succeeds against holders with the one rule taken out that stands in its way, and opens the
 * victim's digits exactly.
 *
 * For attack-rounds.test.ts and attack-rounds.slow.test.ts. Where every attack is tested: attack-suite.test.ts.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HolderPort } from '../../coordinator/rounds/holder-port.ts';
import {
  certificateDer,
  createCertificateAuthority,
  verifyCertificate,
} from '../../crypto/identity/certificate.ts';
import { countSignatures, type HolderRules, holderRules } from '../../keyholder/rules.ts';
import { certificateStatement } from '../../protos/statements.ts';
import {
  away,
  ForgetfulStore,
  HeedlessStore,
  type RoundEnd,
  refusersOf,
  signUpdate,
  type Update,
} from './testing-attacks.ts';
import { openWithAnswers } from './testing-coalition.ts';
import { createIdentity, type FederationOptions } from './testing-federation.ts';
import { minus, none, plain, Stage, without } from './testing-stage.ts';

const DAY_MS = 86_400_000;

export function roundAttacks(name: string, federation: FederationOptions): void {
  describe(`${name}:`, () => {
    const isShares = federation.transport === 'shares';
    let stage: Stage;
    /** Honest people, the victim first. */
    let honest: readonly Update[];
    beforeAll(async () => {
      stage = await Stage.open(federation);
      honest = stage.honest;
    });
    afterAll(() => stage?.close());

    /** No sum, and not one holder gave its part of one. */
    function expectNothingOpened(end: RoundEnd): void {
      expect(end.sum).toBeNull();
      expect(end.answers).toEqual([]);
      for (const { context } of stage.lastFork.holders)
        expect(context.store.anyPartial({ planHash: stage.world.parsed.hash, round: 1 })).toBeUndefined();
    }

    it('an honest round in this harness opens the sum of all', async () => {
      const { sum, refusals } = await stage.play(stage.ports(), honest);
      expect(sum).toEqual(plain(honest));
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
        const sybils = await Promise.all([5, 6].map(() => createIdentity(stage.world, mint)));
        cohort = [honest[0]!, ...sybils.map((identity, i) => stage.update(identity, 5 + i))];
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
        const { sum } = await stage.play(stage.ports(without(anyAuthority)), cohort);
        expect(minus(sum!, plain(cohort.slice(1)))).toEqual(honest[0]!.digits);
      });

      it('do not count: the holders accept the victim alone, and the round is aborted', async () => {
        const end = await stage.play(stage.ports(), cohort);
        expect(end.state.phase).toBe('aborted');
        expect(end.state.message).toBe('a quorum accepts only 1 of at least 3 uploads');
        expect(end.rejections).toEqual(['CERTIFICATE_UNTRUSTED']);
        expectNothingOpened(end);
      });

      it('nor when the coordinator ignores the rejections, nor with a minimum of its own', async () => {
        const claiming = stage.ports().map(
          (port): HolderPort => ({
            ...port,
            accept: async (planHash, round, entries) => {
              await port.accept(planHash, round, entries);
              return { accepted: cohort.map(({ identity }) => identity.subjectId), rejected: [] };
            },
          }),
        );
        const ignored = await stage.play(claiming, cohort);
        expect(refusersOf(ignored, 'certificate', 'CERTIFICATE_INVALID').length).toBeGreaterThanOrEqual(2);
        expectNothingOpened(ignored);
        const lowered = await stage.play(stage.ports(), cohort, { terms: { cohortMin: 1 } });
        expect(lowered.state.cohort).toEqual([honest[0]!.identity.subjectId]);
        expect(refusersOf(lowered, 'certificate', 'COHORT_TOO_SMALL').length).toBeGreaterThanOrEqual(2);
        expectNothingOpened(lowered);
      });
    });

    it('devices that the registrar enrolled around one victim leave it nothing but its noise, as the threat model says', async () => {
      const sybils = await Promise.all([5, 6].map(() => createIdentity(stage.world)));
      const cohort = [honest[0]!, ...sybils.map((identity, i) => stage.update(identity, 5 + i))];
      const { sum } = await stage.play(stage.ports(), cohort);
      // What the device signed and sealed: digits with its own share of the noise, if the plan has any.
      expect(minus(sum!, plain(cohort.slice(1)))).toEqual(honest[0]!.digits);
    });

    it('one update submitted as the sum opens where the plan’s K_min is not looked at; is refused', async () => {
      const alone = { terms: { cohortMin: 1 } };
      const opened = await stage.play(stage.ports(without({ cohortSize: none })), honest.slice(0, 1), alone);
      expect(opened.sum).toEqual(honest[0]!.digits);
      const end = await stage.play(stage.ports(), honest.slice(0, 1), alone);
      expect(refusersOf(end, 'certificate', 'COHORT_TOO_SMALL').length).toBeGreaterThanOrEqual(2);
      expectNothingOpened(end);
    });

    it('cohorts A and A without v: a store put back to before v gets both sums from forgetful holders only', async () => {
      const rest = honest.slice(1);
      // Under bfv each active set has answered one sum for good: the machine goes on to a set that has not. Under shares
      // a holder answers once whatever the set, so it must forget that as well.
      const openStore = (path: string) => (isShares ? new HeedlessStore(path) : new ForgetfulStore(path));
      const weak = stage.ports({ openStore });
      const whole = await stage.play(weak, honest);
      const part = await stage.play(weak, rest);
      expect(minus(whole.sum!, part.sum!)).toEqual(honest[0]!.digits);
      if (isShares) {
        const forgetful = stage.ports({ openStore: (path) => new ForgetfulStore(path) });
        await stage.play(forgetful, honest);
        const refused = await stage.play(forgetful, rest, { answersWanted: 2 });
        expect(refusersOf(refused, 'partial', 'STATEMENT_CONFLICT').length).toBeGreaterThanOrEqual(3);
        expect(refused.answers.length).toBeLessThan(2);
      }

      const holders = stage.ports();
      expect((await stage.play(holders, honest)).sum).not.toBeNull();
      const second = await stage.play(holders, rest);
      expect(second.sum).toBeNull();
      expect(second.answers).toEqual([]);
      expect(refusersOf(second, 'certificate', 'STATEMENT_CONFLICT').length).toBeGreaterThanOrEqual(2);
      expect(second.state.certificateSigners.length).toBeLessThan(2);
    });

    describe('a holder that equivocates', () => {
      const rest = () => honest.slice(1);
      /** Holder 4 signs whatever it is asked. Holders 1 and 2 are shown A, holder 3 is shown A without v. */
      async function split(rules: Partial<HolderRules>) {
        const openStore = (path: string) => (isShares ? new HeedlessStore(path) : new ForgetfulStore(path));
        const holders = stage.ports((index) => (index === 4 ? { rules, openStore } : { rules }));
        const [first, second, third, fourth] = holders as [HolderPort, HolderPort, HolderPort, HolderPort];
        const whole = await stage.play([first, second, away(third), fourth], honest);
        const part = await stage.play([away(first), away(second), third, fourth], rest(), {
          terms: { quorum: 2 },
          ...(isShares ? { answersWanted: 2 } : {}),
        });
        return { whole, part };
      }

      it('opens A and A without v where two signatures are a quorum; three are needed', async () => {
        const two: HolderRules['quorum'] = (plan, certificate, signatures) => {
          const statement = certificateStatement(certificate);
          expect(countSignatures(plan, statement, signatures)).toBeGreaterThanOrEqual(2);
        };
        const weak = await split({ quorum: two });
        const opened = isShares ? openWithAnswers(stage.world, rest(), weak.part) : weak.part.sum!;
        expect(minus(weak.whole.sum!, opened)).toEqual(honest[0]!.digits);

        const { whole, part } = await split({});
        expect(whole.sum).not.toBeNull();
        expect(part.state.certificateSigners).toHaveLength(2);
        expect(part.sum).toBeNull();
        expect(part.answers.length).toBeLessThan(2);
        expect(refusersOf(part, 'partial', 'QUORUM_NOT_REACHED').length).toBeGreaterThanOrEqual(1);
        // Its two signatures over two certificates of one round are the evidence, for anybody with the plan.
        const { plan } = stage.world.parsed;
        const statements = [whole, part].map(({ certificate }) => certificateStatement(certificate!));
        expect(statements[0]).not.toEqual(statements[1]);
        for (const [i, { signatures }] of [whole, part].entries()) {
          const own = signatures.filter(({ holderId }) => holderId === plan.holders[3]!.id);
          expect(countSignatures(plan, statements[i]!, own)).toBe(1);
        }
      });
    });

    it('parts of the coordinator in the place of the signed ones isolate a victim where digests are not compared', async () => {
      // It folds zeros that it sealed in their names, and shows the holders what they signed about other bytes.
      const { world } = stage;
      const zeros = honest.slice(1).map((update): Update => {
        const digits = new Int32Array(stage.slotCount);
        const context = { configHash: update.config.hash, deviceId: update.identity.subjectId };
        const scheme = stage.scheme;
        return { ...update, digits, ...world.secagg.seal(scheme, context, stage.key.publicKey, digits) };
      });
      const switched = [honest[0]!, ...zeros];
      const entries = new Map(
        honest.slice(1).map((update) => {
          const { digest, signature } = signUpdate(world, update);
          return [update.identity.subjectId, { digest, signature }];
        }),
      );
      const weak = await stage.play(stage.ports(without({ uploadDigest: none })), switched, { entries });
      expect(weak.sum).toEqual(honest[0]!.digits);
      const end = await stage.play(stage.ports(), switched, { entries, answersWanted: isShares ? 1 : 2 });
      expect(end.sum).toBeNull();
      expect(end.answers).toEqual([]);
      if (isShares) {
        expect(end.rejections).toEqual(['DIGEST_MISMATCH']);
        expect(end.state.message).toBe('a quorum accepts only 1 of at least 3 uploads');
      }
      // Under bfv a holder sees the parts when it opens.
      else expect(refusersOf(end, 'partial', 'DIGEST_MISMATCH').length).toBeGreaterThanOrEqual(2);
    });
  });
}
