/**
 * Goal: opening under transport shares, three of four: any one holder may be away or lie, and the sum still opens; with
 * one of each it waits, and goes on when the other is back.
 */
import { describe, expect, test } from 'vitest';
import { withReusedAnswers } from './opening.ts';
import { activeSets } from './selection.ts';
import { Drive, failed, HOLDERS } from './testing-machine.ts';

const sets = activeSets(4, 3);
const opening = (): Drive => new Drive({ threshold: 3 }).opening();

/** One answer serves every set with its holder in it that has not failed yet. */
const answers = (drive: Drive, holder: number): string[] =>
  [drive.state.activeSet!, ...sets.filter((set) => set.join() !== drive.state.activeSet!.join())]
    .filter((set) => set.includes(holder) && drive.state.partials[set.join(',')]?.length !== 0)
    .flatMap((activeSet) =>
      drive.feed({ type: 'partial_received', holderId: HOLDERS[holder - 1]!, activeSet }),
    );
const fails = (drive: Drive, ...activeSet: number[]): string[] =>
  drive.feed({ type: 'opening_failed', activeSet });

describe('three of four', () => {
  test('there are four sets, and each holder is in three', () => {
    expect(sets).toEqual([
      [1, 2, 3],
      [1, 2, 4],
      [1, 3, 4],
      [2, 3, 4],
    ]);
  });

  test('the first three are asked, and open', () => {
    const drive = opening();
    expect(drive.effects.slice(-3)).toMatchObject([1, 2, 3].map((i) => ({ holderId: `h${i}` })));
    expect([answers(drive, 1), answers(drive, 2)].flat()).toEqual([]);
    expect(answers(drive, 3)).toEqual(['open 1,2,3']);
    expect(drive.feed({ type: 'sum_opened' })).toEqual(['release']);
    expect(drive.state.message).toBe('sum opened');
  });

  for (const away of [1, 2, 3])
    test(`holder ${away} is away: only the fourth is asked besides`, () => {
      const drive = opening();
      for (const holder of [1, 2, 3].filter((one) => one !== away)) answers(drive, holder);
      expect(drive.feed(failed(`h${away}`, 'partial'))).toEqual(['partial h4']);
      const open = [1, 2, 3, 4].filter((one) => one !== away).join(',');
      expect(answers(drive, 4)).toEqual([`open ${open}`]);
    });

  for (const liar of [1, 2, 3])
    test(`holder ${liar} lies: sets are tried until one has only the others, nobody is asked again`, () => {
      const drive = opening();
      for (const holder of [1, 2, 3]) answers(drive, holder);
      let effects = fails(drive, 1, 2, 3);
      // Those that answered rest a moment before a new set; the fourth is the only one without an answer.
      for (let i = 0; i < 10 && !effects.includes('partial h4'); i++) effects = drive.after(100);
      expect(effects).toEqual(['partial h4']);
      const tried: string[] = answers(drive, 4);
      while (tried.at(-1)!.includes(String(liar)))
        tried.push(...fails(drive, ...tried.at(-1)!.slice(5).split(',').map(Number)));
      const honest = [1, 2, 3, 4].filter((one) => one !== liar).join(',');
      expect(tried.at(-1)).toBe(`open ${honest}`);
      expect(tried.every((effect) => effect.startsWith('open '))).toBe(true);
      drive.feed({ type: 'holders_contradict', holderIds: [`h${liar}`] }, { type: 'sum_opened' });
      expect(drive.state.message).toBe(
        `sum opened; the answer of h${liar} contradicts the other key holders'`,
      );
      drive.feed({ type: 'released' });
      expect(drive.state.message).toContain(`released; the answer of h${liar}`);
    });

  test('one lies and one is away: it waits for the one that is away', () => {
    const drive = opening();
    for (const holder of [1, 2, 3]) answers(drive, holder);
    fails(drive, 1, 2, 3);
    for (let i = 0; i < 5; i++) {
      drive.after(6000);
      drive.feed(failed('h4', 'partial'));
    }
    expect(drive.state).toMatchObject({ phase: 'opening', stuck: true });
    drive.after(6000);
    expect(answers(drive, 4).length).toBe(1);
  });

  test('two lie: no set opens, the round ends, and says who', () => {
    const drive = opening();
    for (const holder of [1, 2, 3]) answers(drive, holder);
    fails(drive, 1, 2, 3);
    drive.after(1000);
    let effects = answers(drive, 4);
    drive.feed({ type: 'holders_contradict', holderIds: ['h1', 'h2'] });
    while (drive.state.phase === 'opening') {
      const set = effects.at(-1)!.slice(5).split(',').map(Number);
      effects = fails(drive, ...set);
    }
    expect(effects).toEqual(['give_up']);
    expect(drive.state.phase).toBe('unopened');
    expect(drive.state.message).toContain('h1, h2 contradicts');
  });
});

test('after a restart the rows of one set count for all sets, under shares only', () => {
  const state = { ...opening().state, partials: { '1,2,3': ['h1', 'h3'], '1,2,4': ['h4'] } };
  const scheme = { transport: 'shares' } as Parameters<typeof withReusedAnswers>[1];
  expect(withReusedAnswers(state, scheme).partials).toEqual({
    '1,2,3': ['h1', 'h3'],
    '1,2,4': ['h1', 'h4'],
    '1,3,4': ['h1', 'h3', 'h4'],
    '2,3,4': ['h3', 'h4'],
  });
  expect(withReusedAnswers(state, { ...scheme, transport: 'bfv' })).toBe(state);
});
