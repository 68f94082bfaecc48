/**
 * Key holders that lie in an opening of transport `shares`, end to end: real holders whose answers are altered after
 * they were computed, and signed again with the liar's own key.
 *
 * One liar changes nothing and is named. Against a coordinator that takes the first answer for each seed it moves a short
 * sum wherever it likes, unseen; a long one does not open, for a wrong key shows. Two that lie apart close the sum, and
 * the budget is charged; two that lie alike are beyond f, and move a short sum: the bound that the threat model names.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HolderPort } from '../../coordinator/rounds/holder-port.ts';
import { strongPrivacy } from '../../coordinator/testing.ts';
import { concat } from '../../crypto/bytes.ts';
import type { TestHolder } from '../../keyholder/testing.ts';
import { certificateStatement, partialStatement } from '../../protos/statements.ts';
import { seedsOf, splitAnswer, trusting } from './testing-coalition.ts';
import { portOf } from './testing-federation.ts';
import { plain, Stage } from './testing-stage.ts';

const SHIFT = 1000;
const worlds = {
  short: { transport: 'shares', inputs: 40, privacy: strongPrivacy },
  long: { transport: 'shares', hidden: [64, 128] },
} as const;

describe.each(Object.entries(worlds))('shares, %s:', (_name, federation) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open(federation, 3);
  });
  afterAll(() => stage?.close());
  const isLong = () => stage.scheme.long !== null;

  /** Takes `shift` off the first word of this seed's sum, which adds it to the sum of the vectors. */
  const bent = (index: number, seed: number, shift: number) => (partial: Uint8Array) => {
    const vectors = splitAnswer(index, partial.slice());
    const words = vectors.get(seed)!;
    const view = new DataView(words.buffer, words.byteOffset, words.byteLength);
    view.setUint16(0, view.getUint16(0, true) - shift, true);
    return concat(...vectors.values());
  };

  /** The port of a holder that says something else than its service computed. */
  function lying(holder: TestHolder, lie: (partial: Uint8Array) => Uint8Array): HolderPort {
    const { suite, holderKeys } = stage.world;
    const port = portOf(holder);
    return {
      ...port,
      open: async (request, parts) => {
        const partial = lie((await port.open(request, parts)).partial);
        const statement = partialStatement({
          certificate: certificateStatement(request),
          activeSet: request.activeSet,
          holderId: holder.id,
          partialDigest: suite.digest(partial),
        });
        const { secretKey } = holderKeys[holder.index - 1]!.signing;
        return { holderId: holder.id, partial, signature: suite.sign(secretKey, statement) };
      },
    };
  }

  const committee = (liars: ReadonlyMap<number, (partial: Uint8Array) => Uint8Array>): HolderPort[] =>
    stage.fork().holders.map((holder) => {
      const lie = liars.get(holder.index);
      return lie ? lying(holder, lie) : portOf(holder);
    });

  const shifted = (by: number) => plain(stage.honest).map((value, i) => (i === 0 ? value + by : value));

  it('one liar moves the sum unseen where the first answer is believed', async () => {
    const holders = committee(new Map([[1, bent(1, 2, SHIFT)]]));
    const services = { secagg: trusting(stage.world.secagg) };
    const end = await stage.play(holders, stage.honest, { services });
    if (isLong()) {
      // A wrong key shows in every coefficient: it goes on to a set without the liar.
      expect(end.sum).toEqual(plain(stage.honest));
      expect(end.complaints.join()).toContain('coefficients do not open');
      return;
    }
    expect(end.sum).toEqual(shifted(SHIFT));
    expect([end.state.message, end.complaints]).toEqual(['released', []]);
  });

  it.each([1, 2, 3])(
    'holder %i lying alone: the sum is exact, it is named to people and in the log',
    async (liar) => {
      const seed = seedsOf(liar)[0]!;
      const holders = committee(new Map([[liar, bent(liar, seed, SHIFT)]]));
      const end = await stage.play(holders, stage.honest);
      const { id } = stage.world.holderKeys[liar - 1]!;
      expect(end.sum).toEqual(plain(stage.honest));
      expect(end.state.message).toBe(`released; the answer of ${id} contradicts the other key holders'`);
      expect(end.state.contradicting).toEqual([id]);
      const named = end.complaints.filter((line) => line.includes('contradict those of the majority'));
      expect(new Set(named)).toEqual(new Set([expect.stringContaining(`"holders":["${id}"]`)]));
    },
  );

  it('a liar that nobody needed is not even asked', async () => {
    const holders = committee(new Map([[4, bent(4, 1, SHIFT)]]));
    const end = await stage.play(holders, stage.honest);
    expect(end.sum).toEqual(plain(stage.honest));
    expect(end.answers.map(({ index }) => index).sort()).toEqual([1, 2, 3]);
  });

  it('two that lie apart: nothing opens, the round is charged and ends with a sentence', async () => {
    const holders = committee(
      new Map([
        [1, bent(1, 2, SHIFT)],
        [2, bent(2, 3, -SHIFT)],
      ]),
    );
    const end = await stage.play(holders, stage.honest);
    expect(end.sum).toBeNull();
    expect(end.state.phase).toBe('unopened');
    expect(end.state.message).toMatch(
      /^no set of key holders opens the sum; the budget is charged; the answer of hospital, regulator contradicts/,
    );
    // Charged: the certificate stands in the log, and after it that nothing came of it.
    const kinds = isLong()
      ? ['ceremony', 'round_certificate', 'unopened']
      : ['ceremony', 'reservation', 'round_certificate', 'mechanism', 'settlement', 'unopened'];
    expect(end.log.map(({ kind }) => kind)).toEqual(kinds);
    for (const leaf of end.log.filter(({ kind }) => kind === 'settlement'))
      expect(leaf).toMatchObject({ outcome: 'charged' });
    expect(end.log.at(-1)).toMatchObject({ reason: end.state.message });
  });

  it('two that lie alike are beyond f: they move a short sum, and a long one does not open', async () => {
    // Seed 3 is unknown to holder 3, so in the set 1, 2, 3 nobody contradicts them.
    const holders = committee(new Map([1, 2].map((index) => [index, bent(index, 3, SHIFT)])));
    const end = await stage.play(holders, stage.honest);
    expect(end.sum).toEqual(isLong() ? null : shifted(SHIFT));
  });
});
