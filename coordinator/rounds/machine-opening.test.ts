/**
 * Goal: from the certificate to the release, which sets of holders are asked to open; and late or repeated news of any
 * phase changes nothing. The phases before it: machine.test.ts.
 */
import { describe, expect, test } from 'vitest';
import {
  aborts,
  accepted,
  Drive,
  FIVE,
  failed,
  HOLDERS,
  type News,
  partial,
  short,
  signed,
} from './testing-machine.ts';

describe('opening', () => {
  test('when every set of holders failed to open, the round is over: charged, nothing released', () => {
    const drive = new Drive().opening();
    const sets = [
      [1, 2],
      [1, 3],
      [1, 4],
      [2, 3],
      [2, 4],
      [3, 4],
    ];
    for (const activeSet of sets) {
      expect(drive.state.phase).toBe('opening');
      drive.feed({ type: 'opening_failed', activeSet });
    }
    expect(drive.state).toMatchObject({
      phase: 'unopened',
      message: expect.stringMatching(/no set of key holders/),
    });
    expect(drive.effects.map((effect) => effect.type)).toContain('give_up');
    expect(drive.feed({ type: 'abort_requested', reason: 'too late' })).toEqual([]);
  });

  test('two partial decryptions of one active set open, and the release follows once', () => {
    const drive = new Drive().opening();
    expect(drive.feed(partial('h1', 1, 2))).toEqual([]);
    expect(drive.feed(partial('h2', 1, 2))).toEqual(['open 1,2']);
    expect(drive.feed({ type: 'sum_opened' })).toEqual(['release']);
    expect(drive.after(10)).toEqual([]);
    drive.feed({ type: 'released' });
    expect(drive.state.phase).toBe('released');
  });

  test('when a member fails, another set is asked', () => {
    const drive = new Drive().opening();
    expect(drive.feed(failed('h2', 'partial'))).toEqual(['partial h3']);
    expect(drive.state.activeSet).toEqual([1, 3]);
    // The answer of h1 for the old set shows that it is free; it is asked for the new one.
    expect(drive.feed(partial('h1', 1, 2))).toEqual(['partial h1']);
    expect(drive.feed(partial('h3', 1, 3), partial('h1', 1, 3))).toEqual(['open 1,3']);
  });

  test('a set that does not open is not used again; the liar is avoided', () => {
    const drive = new Drive().opening();
    drive.feed(partial('h1', 1, 2), partial('h2', 1, 2));
    expect(drive.feed({ type: 'opening_failed', activeSet: [1, 2] })).toEqual(['partial h3', 'partial h4']);
    expect(drive.feed(partial('h3', 3, 4), partial('h4', 3, 4))).toEqual(['open 3,4']);
  });

  test('three away: it waits, charged, and nothing is opened', () => {
    const drive = new Drive().opening();
    drive.feed(failed('h1', 'partial'), failed('h2', 'partial'), failed('h3', 'partial'));
    drive.after(3000);
    expect(drive.state.message).toBe(
      '1 of 4 key holders answer, 2 to open; the budget is charged, nothing is opened',
    );
    expect(drive.effects.map(short).filter((text) => text.startsWith('open'))).toEqual([]);
  });
});

describe('news that comes late or twice', () => {
  const late: [string, (drive: Drive) => Drive, News][] = [
    ['an upload after the freeze', (d) => d.frozen(), { type: 'uploads_acknowledged', deviceIds: ['d6'] }],
    ['an invitation after the freeze', (d) => d.frozen(), { type: 'devices_invited', deviceIds: ['d6'] }],
    ['a verdict after the cohort was chosen', (d) => d.certifying(), accepted('h4', [])],
    ['a failed acceptance while certifying', (d) => d.certifying(), failed('h4', 'acceptance')],
    ['a failed signature while opening', (d) => d.opening(), failed('h2', 'certificate')],
    ['a release that nobody asked for', (d) => d.opening(), { type: 'released' }],
    ['a sum before the certificate', (d) => d.certifying(), { type: 'sum_opened' }],
    [
      'a failed opening before the certificate',
      (d) => d.frozen(),
      { type: 'opening_failed', activeSet: [1, 2] },
    ],
  ];
  for (const [name, to, news] of late)
    test(`${name} changes nothing`, () => {
      const drive = to(new Drive());
      const before = drive.state;
      expect(drive.feed(news)).toEqual([]);
      expect(drive.state).toEqual(before);
    });

  test('a failed opening that comes after another set opened does not take the sum back', () => {
    const drive = new Drive().opening();
    drive.feed(partial('h1', 1, 2), partial('h2', 1, 2), { type: 'sum_opened' });
    drive.feed({ type: 'opening_failed', activeSet: [1, 3] });
    expect(drive.state.phase).toBe('opened');
  });

  test('a round that ended stays as it ended', () => {
    const drive = new Drive().opening();
    drive.feed(partial('h1', 1, 2), partial('h2', 1, 2), { type: 'sum_opened' }, { type: 'released' });
    const end = drive.state;
    const anything = [
      signed('h1'),
      aborts('h1'),
      accepted('h1'),
      partial('h4', 1, 4),
      failed('h1', 'partial'),
    ];
    expect(drive.feed(...anything, { type: 'tick' }, { type: 'sum_opened' })).toEqual([]);
    expect(drive.state).toBe(end);
  });

  test('everything twice is the same as once', () => {
    const once = new Drive();
    const twice = new Drive();
    const story: News[] = [
      ...FIVE.map((deviceId): News => ({ type: 'devices_invited', deviceIds: [deviceId] })),
      ...FIVE.map((deviceId): News => ({ type: 'uploads_acknowledged', deviceIds: [deviceId] })),
      ...HOLDERS.map((id) => accepted(id)),
      ...['h1', 'h2', 'h3'].map(signed),
      partial('h1', 1, 2),
      partial('h2', 1, 2),
      { type: 'sum_opened' },
      { type: 'released' },
    ];
    for (const news of story) {
      once.feed(news);
      twice.feed(news, news);
    }
    expect(twice.state).toEqual(once.state);
    const decisive = (drive: Drive) => drive.effects.filter((effect) => effect.type !== 'ask').map(short);
    expect(decisive(twice)).toEqual(decisive(once));
    expect(decisive(once)).toEqual(['freeze', 'settle', 'open 1,2', 'release']);
  });
});
