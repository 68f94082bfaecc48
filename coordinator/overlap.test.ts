/**
 * Goal: with `rounds.overlap` several rounds stand open, each with its own cohort, certificate and charge; sums are
 * released in the order of rounds and discounted by how late they are; a restart takes all of them up.
 */

import { existsSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { toHex } from '../crypto/bytes.ts';
import { ensure } from '../crypto/error.ts';
import { committeeKeyCount, type ParsedPlan } from '../protos/plan.ts';
import type { EncodedRoundConfig } from '../protos/round-config.ts';
import { meanUpdate } from './aggregation/release.ts';
import { weightsFromBytes } from './aggregation/weights.ts';
import { FINAL_PHASES } from './rounds/machine-types.ts';
import * as repository from './rounds/repository.ts';
import { type TestClock, type TestDevice, until } from './testing.ts';
import type { Bench } from './testing-bench.ts';
import { killedBefore, openRounds, Stage, WINDOW_MS } from './testing-overlap.ts';
import type { Host } from './testing-round.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
});

async function send(bench: Bench, parsed: ParsedPlan, config: EncodedRoundConfig, senders: TestDevice[]) {
  for (const device of senders)
    expect(await bench.put(device, stage.sealed(device, parsed, config))).toMatchObject({
      acknowledged: true,
      late: false,
    });
}

/** Version k of the model, by the summaries, and what the opened sums make of the first by this test's own arithmetic. */
function modelsOf(bench: Bench, parsed: ParsedPlan, discounts: readonly number[]) {
  return bench.store.read('test', (db) => {
    const rounds = repository.listRounds(db, parsed.hashHex);
    const summaries = rounds.map(({ summary }) => JSON.parse(summary));
    const released = summaries.map(({ modelHash }) => weightsFromBytes(repository.getBlob(db, modelHash)!));
    let weights = weightsFromBytes(repository.getBlob(db, rounds[0]!.model_hash)!);
    const expected = rounds.map(({ round }, k) => {
      const { digits } = repository.getSum(db, parsed.hashHex, round)!;
      const { cohortCount } = summaries[k];
      const delta = meanUpdate(parsed, {
        digits: new Int32Array(digits.slice().buffer),
        round,
        cohortCount,
      });
      weights = weights.map((weight, i) => weight + discounts[k]! * delta[i]!);
      return weights;
    });
    return { summaries, released, expected, configs: rounds.map(({ model_hash }) => model_hash) };
  });
}

test('stragglers of one round, a whole next one: released in order, the second discounted', async () => {
  const parsed = stage.plan();
  await stage.onHost(parsed, async (host, clock) => {
    const { bench } = host;
    const [a, b, c, d, e, f] = stage.devices;
    await until('round 1 is open', () => openRounds(bench, parsed).length === 1);
    const first = await bench.invited(a, parsed);
    for (const device of [b, c]) await bench.invited(device, parsed);
    await send(bench, parsed, first, [a]);
    expect(openRounds(bench, parsed)).toEqual(['1 collecting']);
    clock.jump(WINDOW_MS);
    await until('round 2 is open', () => openRounds(bench, parsed).length === 2);

    // Whoever comes gets the newest round; whoever has something to finish gets that.
    const second = await bench.invited(d, parsed);
    for (const device of [e, f]) await bench.invited(device, parsed);
    const own = await bench.invited(a, parsed, 1);
    expect([second, own, await bench.invited(b, parsed)].map(({ config }) => config.round)).toEqual([
      2, 2, 1,
    ]);
    // Both start from the model of before, and hold budget of whoever is in both.
    expect(second.config.modelHash).toBe(first.config.modelHash);
    const held = (device: TestDevice) =>
      bench.store.read(
        'test',
        (db) => bench.ledger.within(db).balance(toHex(device.pseudonym('1'))).reserved,
      );
    expect(held(b)).toBeGreaterThan(0);
    expect(held(a)).toBe(2 * held(b));

    await send(bench, parsed, second, [d, e, f, a]);
    await until('round 2 is opened', () => openRounds(bench, parsed)[1] === '2 opened');
    for (let turn = 0; turn < 20; turn++) await clock.turn();
    expect(openRounds(bench, parsed)).toEqual(['1 collecting', '2 opened']);
    expect(bench.log.leaves().filter(({ kind }) => kind === 'release')).toEqual([]);

    await send(bench, parsed, first, [b, c]);
    await until('the plan ends', () => bench.outcomes.has(parsed.hashHex));
    expect(bench.outcomes.get(parsed.hashHex)).toEqual({ status: 'finished', message: '2 rounds released' });
    const { summaries, released, expected } = modelsOf(bench, parsed, [1, 1 / Math.sqrt(2)]);
    expect(summaries).toMatchObject([
      { round: 1, staleness: 0, cohortCount: 3 },
      { round: 2, staleness: 1, cohortCount: 4 },
    ]);
    for (const [k, weights] of released.entries())
      for (const [i, weight] of weights.entries()) expect(weight).toBeCloseTo(expected[k]![i]!, 6);
    // Counted like a fresh one it would be another model.
    const fresh = modelsOf(bench, parsed, [1, 1]).expected[1]!;
    expect(Math.hypot(...fresh.map((weight, i) => weight - released[1]![i]!))).toBeGreaterThan(1e-4);
    const leaves = bench.log.leaves().filter((leaf) => leaf.kind === 'release');
    expect(leaves).toMatchObject([
      { round: 1, staleness: 0 },
      { round: 2, staleness: 1, contentHash: summaries[1].modelHash },
    ]);
    expect([held(a), held(b)]).toEqual([0, 0]);
  });
});

test('a budget that holds one more round, not two, keeps a person out of the second', async () => {
  const parsed = stage.plan();
  await stage.onHost(parsed, async ({ bench }, clock) => {
    await until('round 1 is open', () => openRounds(bench, parsed).length === 1);
    const [a, b, c] = stage.devices;
    for (const device of [a, b, c]) await bench.invited(device, parsed);
    // Another plan of the epoch holds what is left, but for half a round.
    bench.store.transaction('test', (db) => {
      const ledger = bench.ledger.within(db);
      const pseudonym = toHex(a.pseudonym('1'));
      const { limit, reserved } = ledger.balance(pseudonym);
      const terms = { order: 'zcdp', mechanism: {}, quotas: [] } as const;
      const { refused } = ledger.reserve(
        { planHash: 'f'.repeat(64), round: 1 },
        [pseudonym],
        limit - 1.5 * reserved,
        terms,
      );
      expect(refused).toEqual([]);
    });
    clock.jump(WINDOW_MS);
    await until('round 2 is open', () => openRounds(bench, parsed).length === 2);
    const reply = await bench.checkIn(a, parsed, { roundAfter: 1 });
    expect(reply).toMatchObject({ wait: { reason: expect.stringContaining('BUDGET_EXCEEDED') } });
    expect((await bench.invited(b, parsed, 1)).config.round).toBe(2);
  });
});

test('a restart takes up every open round', async () => {
  const parsed = stage.plan({ training: 3, overlap: 2, cohortTarget: 3, cohortMax: 3 });
  await stage.onHost(parsed, async (host, clock) => {
    await until('round 1 is open', () => openRounds(host.bench, parsed).length === 1);
    const [a, b, c, d, e, f] = stage.devices;
    const first = await host.bench.invited(a, parsed);
    for (const device of [b, c]) await host.bench.invited(device, parsed);
    await send(host.bench, parsed, first, [a, b]);
    // A full round leaves room for the next one at once.
    await until('round 2 is open', () => openRounds(host.bench, parsed).length === 2);
    const second = await host.bench.invited(d, parsed);
    for (const device of [e, f]) await host.bench.invited(device, parsed);
    await send(host.bench, parsed, second, [d, e, f]);
    await until('round 2 is opened', () => openRounds(host.bench, parsed)[1] === '2 opened');
    await until('round 3 is open', () => openRounds(host.bench, parsed).length === 3);
    const third = await host.bench.invited(d, parsed, 2);
    host.restart();
    await host.ready;
    await until('all are open again', () => openRounds(host.bench, parsed).length === 3);
    expect(openRounds(host.bench, parsed)).toEqual(['1 collecting', '2 opened', '3 collecting']);
    for (const device of [e, f]) await host.bench.invited(device, parsed, 2);
    await send(host.bench, parsed, third, [d, e, f]);
    await send(host.bench, parsed, first, [c]);
    await until('the plan ends', () => host.bench.outcomes.has(parsed.hashHex));
    for (let turn = 0; turn < 20; turn++) await clock.turn();
    const { summaries, released, expected } = modelsOf(host.bench, parsed, [
      1,
      1 / Math.sqrt(2),
      1 / Math.sqrt(3),
    ]);
    expect(summaries.map(({ staleness }) => staleness)).toEqual([0, 1, 2]);
    expect(released[2]![0]).toBeCloseTo(expected[2]![0]!, 6);
  });
});

/** Round 2 waits for round 1 with its sum opened, whose settling finds another statement: the plan has failed. */
async function breakFirst(host: Host, clock: TestClock, parsed: ParsedPlan): Promise<void> {
  const { bench } = host;
  const { budget } = bench.services;
  const settle = budget.settle.bind(budget);
  budget.settle = (...terms) => {
    ensure(terms[1].config.round !== 1, 'STATEMENT_CONFLICT', 'injected');
    settle(...terms);
  };
  const [a, b, c, d, e, f] = stage.devices;
  await until('round 1 is open', () => openRounds(bench, parsed).length === 1);
  const first = await bench.invited(a, parsed);
  for (const device of [b, c]) await bench.invited(device, parsed);
  await send(bench, parsed, first, [a]);
  clock.jump(WINDOW_MS);
  await until('round 2 is open', () => openRounds(bench, parsed).length === 2);
  const second = await bench.invited(d, parsed);
  for (const device of [a, e, f]) await bench.invited(device, parsed, 1);
  await send(bench, parsed, second, [a, d, e, f]);
  await until('round 2 is opened', () => openRounds(bench, parsed)[1] === '2 opened');
  for (let turn = 0; turn < 20; turn++) await clock.turn();
  await send(bench, parsed, first, [b, c]);
}

/** Of a plan that failed with rounds 1 and 2 open. */
function remainsOf(bench: Bench, { hashHex }: ParsedPlan) {
  return bench.store.read('test', (db) => ({
    status: repository.getPlan(db, hashHex)!.status,
    phases: repository.roundPhases(db, hashHex).map(({ phase }) => FINAL_PHASES.includes(phase)),
    ciphertexts: [1, 2].map((round) => repository.hasCiphertexts(db, hashHex, round)),
    erased: repository.committeeKeyRounds(db, hashHex).map((r) => repository.erasedBy(db, hashHex, r).length),
  }));
}

test.each([
  ['at once', 0],
  ['after a crash before they are dropped', 1],
])(
  'when one round breaks, no later one is released; keys and ciphertexts of all go, %s',
  async (_, deaths) => {
    const parsed = stage.plan();
    const play = async (host: Host, clock: TestClock) => {
      await breakFirst(host, clock, parsed);
      await until('the plan ends', () => host.bench.outcomes.has(parsed.hashHex));
      const keys = committeeKeyCount(parsed.plan);
      await until('all holders have erased', () =>
        remainsOf(host.bench, parsed).erased.every((n) => n === 4),
      );
      expect(host.restarts).toBe(deaths);
      expect(host.bench.outcomes.get(parsed.hashHex)!.status).toBe('failed');
      expect(host.bench.log.leaves().filter(({ kind }) => kind === 'release')).toEqual([]);
      const { erased, ...remains } = remainsOf(host.bench, parsed);
      expect(remains).toEqual({ status: 'failed', phases: [false, false], ciphertexts: [false, false] });
      expect(erased).toHaveLength(keys);
      for (const round of [1, 2])
        expect(existsSync(host.bench.services.spool.directoryOf({ planHex: parsed.hashHex, round })!)).toBe(
          false,
        );
    };
    await stage.onHost(
      parsed,
      play,
      (name, occurrence) => name === 'drop-ciphertexts' && occurrence <= deaths,
    );
  },
);

killedBefore([
  ['settle', 2],
  ['release', 2],
]);
