/**
 * Goal: in rounds that open by groups nobody chooses who is in which group, a boosted update does not decide the model,
 * and a garbage body costs its own group alone. Each attack first succeeds: where one signature is enough for a
 * partition value, where the model is one sum, where checksums are not looked at.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { meanUpdate } from '../../coordinator/aggregation/release.ts';
import type { HolderPort, OpenRequest } from '../../coordinator/rounds/holder-port.ts';
import { fromHex, transcript } from '../../crypto/bytes.ts';
import { protectPerson, toDigits } from '../../crypto/dp/mechanism.ts';
import type { OpenGroupsInput, Secagg, SumScheme } from '../../crypto/secagg/scheme.ts';
import {
  agreedDraws,
  drawOf,
  partitionOf,
  partitionSeed,
  splitPartial,
} from '../../crypto/secagg/shares/index.ts';
import type { HolderRules } from '../../keyholder/rules.ts';
import { mechanismOf } from '../../protos/plan-mechanism.ts';
import { layoutOf } from '../../protos/plan-scheme.ts';
import { certificateStatement, partitionDrawStatement } from '../../protos/statements.ts';
import { createUpdate, type RoundEnd, refusersOf, type Update } from './testing-attacks.ts';
import { centred, expansionsOf, replacing, splitAnswer, subtractWords } from './testing-coalition.ts';
import { portOf } from './testing-federation.ts';
import { minus, plain, Stage } from './testing-stage.ts';

const GROUPS = 4;
const PEOPLE = 12;
const rounds = { cohortMin: 8, cohortTarget: PEOPLE, cohortMax: PEOPLE };
const grouped = (combine: string) => ({
  transport: 'shares' as const,
  rounds,
  aggregation: { groups: { count: GROUPS, combine } },
});

const idOf = ({ identity }: Update): string => identity.subjectId;

describe('a partition that the coordinator steers, with one corrupt holder and two Sybils', () => {
  let stage: Stage;
  /** The victim, the Sybils, the other people. */
  let victim: Update;
  let sybils: readonly Update[];
  beforeAll(async () => {
    stage = await Stage.open({ ...grouped('median'), inputs: 40 }, PEOPLE);
    [victim, ...sybils] = stage.honest.slice(0, 3) as [Update, Update, Update];
  });
  afterAll(() => stage?.close());

  const CORRUPT = 4;

  /** Tries values of P_1 until the victim's group is it and the Sybils: some tens of times. */
  function grind(statement: Uint8Array, values: readonly Uint8Array[]): Uint8Array {
    const { suite } = stage.world;
    const wanted = [victim, ...sybils].map(idOf).sort().join();
    const cohort = stage.honest.map(idOf).sort();
    for (let attempt = 0; attempt < 10_000; attempt++) {
      const first = suite.digest(transcript('grind', attempt));
      const seed = partitionSeed(suite, statement, [first, ...values.slice(1)]);
      if (partitionOf(suite, seed, cohort, GROUPS).some((group) => group.join() === wanted)) return first;
    }
    throw new Error('no such partition');
  }

  /** Holder 1 as the attacker asks it: it is shown the corrupt holder's draw, which says what the attacker wants. */
  function steered(port: HolderPort, withOthers: boolean): HolderPort {
    const { world } = stage;
    const { id: holderId, signing } = world.holderKeys[CORRUPT - 1]!;
    const forge = (request: OpenRequest): OpenRequest => {
      const certificate = certificateStatement(request);
      const answers = request.draws.map(({ holderId: id, values }) => ({
        holderIndex: world.holderKeys.findIndex((keys) => keys.id === id) + 1,
        values,
      }));
      const agreed = agreedDraws(answers).map((value) => value!);
      const values = Uint8Array.from([...grind(certificate, agreed), ...agreed[1]!, ...agreed[2]!]);
      const statement = partitionDrawStatement({ certificate, holderId, values });
      const forged = { holderId, values, signature: world.suite.sign(signing.secretKey, statement) };
      const others = request.draws.filter((draw) => draw.holderId !== holderId);
      return { ...request, draws: withOthers ? [forged, ...others] : [forged] };
    };
    return replacing(port, { open: (request, parts) => port.open(forge(request), parts) });
  }

  async function attack(rules: Partial<HolderRules>, withOthers = false) {
    const committee = stage.fork({ rules });
    const ports = committee.holders.map(portOf);
    const end = await stage.play([steered(ports[0]!, withOthers), ...ports.slice(1)], stage.honest);
    return { end, committee };
  }

  /** The victim's digits, if one group of holder 1's answer is the victim and the Sybils. */
  function isolated({ end, committee }: Awaited<ReturnType<typeof attack>>): Int32Array | null {
    const { world, scheme } = stage;
    const members = [victim, ...sybils];
    const corrupt = committee.holders[CORRUPT - 1]!;
    const own = members.flatMap((update) => [
      ...expansionsOf(world, stage.key.publicKey, corrupt, update).values(),
    ]);
    const [first, ...rest] = members.map(({ body }) => body);
    const answer = end.answers.find(({ index }) => index === 1)?.partial;
    if (!answer) return null;
    const { shortCount: count, wordBits, groups } = scheme;
    for (const slice of splitPartial(answer, { count, wordBits, groups })) {
      // Seed 4 is the one that the corrupt holder does not know.
      const fourth = splitAnswer(1, slice).get(CORRUPT)!;
      const negative = rest.map((body) => subtractWords(world, new Uint8Array(body.length), [body]));
      const sum = centred(world, subtractWords(world, first!, [...negative, ...own, fourth]));
      const digits = minus(sum.subarray(0, scheme.slotCount), plain(sybils));
      if (digits.every((digit, i) => digit === victim.digits[i])) return digits;
    }
    return null;
  }

  it('shows the victim alone where one signature is enough for a partition value; two are needed', async () => {
    const one: HolderRules['partitionDraws'] = (plan, certificate, own, draws) => {
      const [draw] = draws;
      const signer = plan.holders.findIndex(({ id }) => id === draw!.holderId);
      const key = fromHex(plan.holders[signer]!.signingPublicKey);
      const statement = partitionDrawStatement({ certificate, ...draw! });
      expect(stage.world.suite.verify(key, statement, draw!.signature)).toBe(true);
      return [1, 2, 3, 4].map(
        (k) => drawOf(own.holderIndex, own.values, k) ?? drawOf(signer + 1, draw!.values, k)!,
      );
    };
    expect(isolated(await attack({ partitionDraws: one }))).toEqual(victim.digits);

    const refused = await attack({});
    expect(refusersOf(refused.end, 'partial', 'SHARE_INCONSISTENT')).toEqual([stage.world.holderKeys[0]!.id]);
    expect(refused.end.answers.map(({ index }) => index)).not.toContain(1);
    // The other three open it without holder 1.
    expect(refused.end.sum).not.toBeNull();
  });

  it('is outvoted where the honest holders’ values are shown beside the forged one', async () => {
    const outvoted = await attack({}, true);
    expect(outvoted.end.refusals).toEqual([]);
    expect(outvoted.end.answers.map(({ index }) => index)).toContain(1);
    expect(outvoted.end.sum).not.toBeNull();
    const { sizes, valid } = outvoted.end.groups!;
    expect([sizes, valid]).toEqual([
      [3, 3, 3, 3],
      [true, true, true, true],
    ]);
  });
});

describe('poisoned updates', () => {
  const HONEST = 0.02;
  const stages = new Map<string | null, Stage>();
  afterAll(() => {
    for (const stage of stages.values()) stage.close();
  });

  async function open(combine: string | null): Promise<Stage> {
    const known = stages.get(combine);
    if (known) return known;
    const federation = combine ? grouped(combine) : { transport: 'shares' as const, rounds };
    const stage = await Stage.open({ ...federation, inputs: 9, mechanism: { unitsPerClip: 4096 } }, PEOPLE);
    stages.set(combine, stage);
    return stage;
  }

  /** An update through the real pipeline but for the clipping, which a malicious client leaves out. */
  function update(stage: Stage, number: number, value: number, boost = 1): Update {
    const { parsed } = stage.world;
    const vector = new Float64Array(10).fill(value);
    const integers = protectPerson(vector, mechanismOf(parsed, 'training', 1)).map((entry) => boost * entry);
    const digits = toDigits(integers, layoutOf(parsed, 'training'));
    return createUpdate(stage.world, stage.key, stage.honest[number]!.identity, digits);
  }

  const cohortOf = (stage: Stage): Update[] => stage.honest.map((_, i) => update(stage, i, HONEST));

  /** Largest distance of an entry of the mean update from what the honest ones say. */
  function damage(stage: Stage, { sum, groups }: RoundEnd): number {
    const opened = { digits: sum!, round: 1, cohortCount: PEOPLE, groups };
    return Math.max(...meanUpdate(stage.world.parsed, opened).map((entry) => Math.abs(entry - HONEST)));
  }

  describe('one client boosts its update, unclipped and against the others', () => {
    const boosted = (stage: Stage): Update[] => cohortOf(stage).with(5, update(stage, 5, -0.3, 8));

    it('and turns the model of one sum around', async () => {
      const stage = await open(null);
      expect(damage(stage, await stage.play(stage.ports(), cohortOf(stage)))).toBeLessThan(1e-3);
      expect(damage(stage, await stage.play(stage.ports(), boosted(stage)))).toBeGreaterThan(5 * HONEST);
    });

    it.each(['median', 'trimmed-mean', 'norm-filter'])(
      'and does not move groups under %s',
      async (combine) => {
        const stage = await open(combine);
        expect(damage(stage, await stage.play(stage.ports(), boosted(stage)))).toBeLessThan(1e-3);
      },
    );
  });

  describe('one client’s body is garbage behind well sealed seeds', () => {
    /** A coordinator that believes every group that unmasks. */
    function unchecked(secagg: Secagg): Secagg {
      const openGroups = (scheme: SumScheme, input: OpenGroupsInput): Int32Array[] => {
        const { shortCount: count, wordBits, groups } = scheme;
        const slices = input.partials.map((partial) => splitPartial(partial, { count, wordBits, groups }));
        return input.groups.map((group, g) => {
          const partials = slices.map((slice) => slice[g]!);
          const { configHash, activeSet } = input;
          return secagg
            .open({ ...scheme, groups: 1 }, { ...group, configHash, activeSet, partials })
            .subarray(0, scheme.slotCount);
        });
      };
      return replacing(secagg, { openGroups });
    }
    const spoil = (updates: readonly Update[]): Update[] =>
      updates.map((one, i) =>
        i === 7 ? { ...one, body: one.body.map((byte, j) => byte ^ (j * 151)) } : one,
      );

    it('it poisons the mean where checksums are not looked at; its group is dropped', async () => {
      const stage = await open('mean');
      const cohort = spoil(cohortOf(stage));
      const services = { secagg: unchecked(stage.world.secagg) };
      const weak = await stage.play(stage.ports(), cohort, { services });
      expect(weak.groups!.valid).toEqual([true, true, true, true]);
      expect(damage(stage, weak)).toBeGreaterThan(5 * HONEST);

      const real = await stage.play(stage.ports(), cohort);
      expect(real.groups!.valid.filter((valid) => !valid)).toHaveLength(1);
      expect(damage(stage, real)).toBeLessThan(1e-3);
      expect(real.state.phase).toBe('released');
    });

    it('and the whole sum of a round without groups, which has no checksum', async () => {
      const stage = await open(null);
      const end = await stage.play(stage.ports(), spoil(cohortOf(stage)));
      expect(damage(stage, end)).toBeGreaterThan(5 * HONEST);
    });
  });
});
