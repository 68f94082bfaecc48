import { beforeAll, describe, expect, it } from 'vitest';
import { utf8 } from '../bytes.ts';
import { type Bfv, loadBfv } from './bfv.ts';
import { type CeremonyState, checkTest, finalShare, makeTest, testPartial } from './ceremony.ts';
import { answerTest, combineLocally } from './local-ceremony.ts';

let bfv: Bfv;
beforeAll(async () => {
  bfv = await loadBfv();
});

const coded = (code: string, message = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });
const ceremonyId = utf8('ceremony-opening.test');

describe('test openings', () => {
  let testing: ReturnType<typeof makeTest>[];
  let states: CeremonyState[];
  beforeAll(() => {
    testing = combineLocally({ ceremonyId }).map((state) => makeTest(state));
    states = testing.map((holder) => holder.state);
  });

  it('hide a fresh random message each, under one derived c1', () => {
    for (const [i, { test }] of testing.entries()) {
      expect(test.c1).toEqual(testing[0]!.test.c1);
      for (const other of testing.slice(i + 1)) expect(test.c0).not.toEqual(other.test.c0);
    }
  });

  it('are answered with the same bytes when asked again', () => {
    const { test } = testing[0]!;
    expect(testPartial(states[1]!, test, [1, 2])).toEqual(testPartial(states[1]!, test, [2, 1]));
    expect(testPartial(states[1]!, test, [1, 2])).not.toEqual(testPartial(states[1]!, test, [2, 3]));
  });

  it('are no decryption oracle: a c1 that is not the derived one gets no answer', () => {
    const { test } = testing[0]!;
    const crafted = new Uint8Array(test.c1.length);
    crafted[4] = 64; // the constant 2^38 modulo q1
    const flipped = test.c1.map((byte, i) => (i === 77 ? byte ^ 1 : byte));
    const fresh = bfv.encrypt(states[0]!.publicKey, new Int32Array(64)).c1;
    for (const c1 of [crafted, flipped, fresh, new Uint8Array(0)]) {
      expect(() => testPartial(states[1]!, { c0: test.c0, c1 }, [1, 2])).toThrow(
        coded('CEREMONY_FAILED', /derived/),
      );
    }
  });

  it('must all be there, once, and right', () => {
    const answers = answerTest(states, testing[0]!.test);
    const [first, second, ...rest] = answers;
    const state = states[0]!;
    const failed = (message: RegExp) => coded('CEREMONY_FAILED', message);
    expect(() => checkTest(state, rest)).toThrow(failed(/1\+2 have not opened/));
    expect(() => checkTest(state, [...answers, first!])).toThrow(failed(/two answers/));
    const halved = [{ ...first!, partials: first!.partials.slice(1) }, second!, ...rest];
    expect(() => checkTest(state, halved)).toThrow(failed(/1\+2 have not opened/));
    const swapped = [
      { ...first!, partials: second!.partials },
      { ...second!, partials: first!.partials },
      ...rest,
    ];
    // Both pairs of partials are honest openings of the same ciphertext; their sum is what counts.
    expect(() => checkTest(state, swapped)).not.toThrow();
    const mixed = [{ ...first!, partials: [first!.partials[0]!, second!.partials[1]!] }, second!, ...rest];
    expect(() => checkTest(state, mixed)).toThrow(failed(/does not open for the holders 1\+2$/));
    const damaged = [{ ...first!, partials: [first!.partials[0]!, new Uint8Array(3)] }, second!, ...rest];
    expect(() => checkTest(state, damaged)).toThrow(failed(/1\+2$/));
    expect(finalShare(checkTest(state, answers).state)).toEqual(state.share);
  });
});
