/**
 * One hostile client and the coordinator against the others of their round. Under `bfv` a crafted c1 turns the sum that
 * the holders decrypt into one victim's ciphertext, and opens it: without zero-knowledge proofs nobody can tell, which is
 * why that transport assumes well-formed ciphertexts and every round has its own key. The same client under `shares`,
 * with a body that cancels all others, gets nothing: a holder decrypts nothing that a client put together.
 *
 * Reading the whole committee key off one round: crypto/secagg/crafted-c1.test.ts.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { runCeremony } from '../../coordinator/rounds/ceremonies.ts';
import { negated, whyExposed } from './testing-attacker.ts';
import type { RoundEnd, Update } from './testing-attacks.ts';
import { cancelling, openWithAnswers } from './testing-coalition.ts';
import { portOf } from './testing-federation.ts';
import { plain, Stage } from './testing-stage.ts';

const stages: Stage[] = [];
afterAll(() => {
  for (const stage of stages) stage.close();
});
async function open(federation: Parameters<typeof Stage.open>[0]) {
  const stage = await Stage.open({ ...federation, rounds: { training: 2 } });
  stages.push(stage);
  const [victim, ...rest] = stage.honest as [Update, ...Update[]];
  return { stage, victim, bystanders: rest.slice(0, -1), client: rest.at(-1)! };
}
const unopened = expect.objectContaining({ code: 'OPENING_FAILED' });

describe('a client with a crafted c1 and the coordinator, under bfv', () => {
  it('open the update that they choose of their own round, and no other round’s', async () => {
    const { stage, victim, bystanders, client } = await open({ inputs: 63 });
    const { world, slotCount: digitCount } = stage;
    // The coordinator shows its client what the others sent.
    const others = world.bfv.accumulator('c1', digitCount);
    for (const { holderPart } of bystanders) others.add(holderPart);
    const crafted: Update = { ...client, holderPart: negated(others.bytes(), digitCount) };
    const committee = stage.fork();
    const ports = committee.holders.map(portOf);
    const end = await stage.play(ports, [victim, ...bystanders, crafted], { answersWanted: 2 });
    expect(end.rejections).toEqual([]);
    const [set] = end.answers.map(({ set: asked }) => asked);
    const partials = end.answers.filter((answer) => answer.set === set).map(({ partial }) => partial);
    expect(partials).toHaveLength(2);
    const using = (c0Sum: Uint8Array) => world.bfv.open({ c0Sum, partials, digitCount });
    expect(using(victim.body)).toEqual(victim.digits);

    // The same device's update of round 2, under a key of its own.
    const key = await runCeremony(world.parsed, 2, ports);
    const next = stage.update(victim.identity, 0, { round: 2 }, key);
    expect(next.digits).toEqual(victim.digits);
    expect(() => using(next.body)).toThrow(unopened);
    for (const { body } of bystanders) expect(() => using(body)).toThrow(unopened);
  });
});

describe.each([
  ['short', { transport: 'shares', inputs: 255 }],
  ['long', { transport: 'shares', hidden: [64, 128] }],
] as const)('the same client under shares, %s', (name, federation) => {
  it('gets nothing with a body that cancels the others', async () => {
    const { stage, victim, bystanders, client } = await open(federation);
    const { world } = stage;
    const body = cancelling(
      world,
      bystanders.map((update) => update.body),
    );
    // What the coordinator folds is the victim's body and nothing else: as under bfv.
    const crafted: Update = { ...client, body };
    const cohort = [victim, ...bystanders, crafted];
    const end: RoundEnd = await stage.play(stage.ports(), cohort);
    expect(end.rejections).toEqual([]);
    expect(end.state.cohort).toHaveLength(4);
    const attempts = [cohort, [victim], bystanders, [victim, client], [victim, ...bystanders]];
    for (const some of attempts) {
      const attempt = () => openWithAnswers(world, some, end);
      if (name === 'long') expect(attempt).toThrow(unopened);
      else
        for (const target of [victim, ...bystanders])
          expect(whyExposed(attempt(), target.digits, 2 ** stage.scheme.wordBits)).toBeNull();
    }
    // What it has is what every client has: the answers fit the sum of all, with a body that its seeds mask.
    expect(openWithAnswers(world, stage.honest, end)).toEqual(plain(stage.honest));
    expect(end.sum === null).toBe(name === 'long');
  });
});
