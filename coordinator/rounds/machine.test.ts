/**
 * Goal: every transition of the round machine, one by one: who is asked what and when, what ends a round.
 * From the certificate on: machine-opening.test.ts.
 */
import { describe, expect, test } from 'vitest';
import { type Phase, resume } from './machine.ts';
import { activeSets, chooseCohort } from './selection.ts';
import {
  aborts,
  accepted,
  Drive,
  everybody,
  FIVE,
  failed,
  HOLDERS,
  partial,
  signed,
  terms,
} from './testing-machine.ts';

function waitFor(drive: Drive, ms: number): void {
  drive.state = { ...drive.state, terms: { ...terms, stragglerMs: 1e9 } };
  drive.invite(5).upload(4);
  drive.after(ms);
}

describe('collecting', () => {
  const outcomes: [string, (drive: Drive) => void, Phase][] = [
    ['nobody has come', (d) => void d.after(1e9), 'collecting'],
    ['two of three invited, long ago', (d) => void d.invite(2).after(1e9), 'collecting'],
    ['the target is reached at once', (d) => void d.invite(5).upload(5), 'accepting'],
    [
      'everybody invited has sent, but the window is open',
      (d) => {
        d.invite(3).upload(3);
        d.after(999);
      },
      'collecting',
    ],
    [
      'everybody invited has sent and the window is over',
      (d) => {
        d.invite(3).upload(3);
        d.after(1000);
      },
      'accepting',
    ],
    [
      'a straggler is waited for',
      (d) => {
        d.invite(4);
        d.after(900);
        d.upload(3);
        d.after(499);
      },
      'collecting',
    ],
    [
      'a straggler is not waited for long',
      (d) => {
        d.invite(4);
        d.after(900);
        d.upload(3);
        d.after(500);
      },
      'accepting',
    ],
    [
      'an upload sent again does not buy time',
      (d) => {
        d.invite(4);
        d.after(900);
        d.upload(3);
        d.after(300);
        d.upload(3);
        d.after(200);
      },
      'accepting',
    ],
    ['patience with stragglers ends at the deadline', (d) => waitFor(d, 9_999), 'collecting'],
    ['... exactly there', (d) => waitFor(d, 10_000), 'accepting'],
    [
      'too few at the deadline',
      (d) => {
        d.invite(3).upload(2);
        d.after(10_000);
      },
      'aborting',
    ],
  ];
  for (const [name, play, phase] of outcomes)
    test(`${name}: ${phase}`, () => {
      const drive = new Drive();
      play(drive);
      expect(drive.state.phase).toBe(phase);
    });

  test('the freeze comes before the first question, and fixes who is in', () => {
    const drive = new Drive().invite(6);
    expect(drive.upload(5)).toEqual(['freeze', ...everybody('acceptance')]);
    drive.feed({ type: 'uploads_acknowledged', deviceIds: ['d6'] });
    expect(drive.state.candidates).toEqual(FIVE);
  });

  test('an abort for too few says how many came', () => {
    const drive = new Drive().invite(3);
    drive.upload(2);
    expect(drive.after(10_000)).toEqual(everybody('abort'));
    expect(drive.state.abortReason).toBe('only 2 of at least 3 uploads came in time');
  });

  test('after a crash the windows start again, and devices that were invited before count', () => {
    const drive = new Drive().invite(3);
    drive.upload(3);
    drive.nowMs = 50_000;
    // What the store brings back: the rows of invitations and uploads, not the times.
    drive.state = resume({ ...drive.state, quorateAtMs: null, lastUploadAtMs: 0 });
    expect(drive.after(0)).toEqual([]);
    expect(drive.after(999)).toEqual([]);
    expect(drive.after(1)).toEqual(['freeze', ...everybody('acceptance')]);
  });
});

describe('accepting', () => {
  test('three unanimous verdicts suffice; the fourth is waited for a moment only', () => {
    const drive = new Drive().frozen();
    expect(drive.feed(accepted('h1'), accepted('h2'))).toEqual([]);
    expect(drive.feed(accepted('h3'))).toEqual([]);
    expect(drive.after(999)).toEqual([]);
    expect(drive.after(1)).toEqual(everybody('certificate'));
    expect(drive.state.cohort).toEqual(FIVE);
  });

  test('nobody waits when the fourth has answered, or has failed', () => {
    for (const last of [accepted('h4'), failed('h4', 'acceptance')]) {
      const drive = new Drive().frozen();
      drive.feed(accepted('h1'), accepted('h2'), accepted('h3'));
      expect(drive.feed(last)).toEqual(everybody('certificate'));
    }
  });

  test('a device that one holder alone rejects is left out: that holder could not answer for it', () => {
    const drive = new Drive().frozen();
    const without = FIVE.filter((id) => id !== 'd4');
    drive.feed(accepted('h1'), accepted('h2'), accepted('h3'), accepted('h4', without));
    expect(drive.state.cohort).toEqual(without);
  });

  test('a holder that rejects everybody spoils nothing', () => {
    const drive = new Drive().frozen();
    drive.feed(accepted('h1', []), accepted('h2'), accepted('h3'));
    expect(drive.state.phase).toBe('accepting');
    drive.feed(accepted('h4'));
    expect(drive.state.cohort).toEqual(FIVE);
  });

  test('an upload that a quorum rejects is left out, the others go on', () => {
    const drive = new Drive().frozen();
    const four = FIVE.slice(0, 4);
    drive.feed(accepted('h1', four), accepted('h2', four), accepted('h3', four), accepted('h4', four));
    expect(drive.state.cohort).toEqual(four);
  });

  test('with one holder away, three agreeing verdicts over less than everybody suffice', () => {
    const drive = new Drive().frozen();
    const four = FIVE.slice(0, 4);
    drive.feed(accepted('h1', four), accepted('h2', four), accepted('h3', four));
    expect(drive.state.phase).toBe('accepting');
    drive.feed(failed('h4', 'acceptance'));
    expect(drive.state.cohort).toEqual(four);
  });

  test('a rejecting holder and one that stumbles once do not end the round together', () => {
    const drive = new Drive().frozen();
    drive.feed(failed('h4', 'acceptance'), accepted('h1', []), accepted('h2'), accepted('h3'));
    expect(drive.state.phase).toBe('accepting');
    expect(drive.after(200)).toEqual(['acceptance h4']);
    drive.feed(accepted('h4'));
    expect(drive.state.cohort).toEqual(FIVE);
  });

  test('... but one that stays away does, at the deadline of the holders', () => {
    const drive = new Drive().frozen();
    drive.feed(accepted('h1', []), accepted('h2'), accepted('h3'), failed('h4', 'acceptance'));
    drive.after(2999);
    expect(drive.state.phase).toBe('accepting');
    drive.after(1);
    expect(drive.state.abortReason).toBe('a quorum accepts only 0 of at least 3 uploads');
  });

  test('when a quorum accepts too few, the round is aborted', () => {
    const drive = new Drive().frozen();
    expect(drive.feed(...HOLDERS.map((id) => accepted(id, ['d1', 'd2'])))).toEqual(everybody('abort'));
    expect(drive.state.abortReason).toBe('a quorum accepts only 2 of at least 3 uploads');
  });

  test('naming devices twice, or devices nobody froze, does not make a verdict unanimous', () => {
    const drive = new Drive().frozen();
    // Five names, so as many as there are candidates. Counted like that, h1 alone would throw d3 … d5 out.
    drive.feed(accepted('h1', ['d1', 'd1', 'd2', 'd2', 'stranger']), accepted('h2'), accepted('h3'));
    expect(drive.state.phase).toBe('accepting');
    drive.feed(accepted('h4'));
    expect(drive.state.cohort).toEqual(FIVE);
  });

  test('the chosen cohort is the largest that some quorum agrees on', () => {
    const verdicts = { h1: ['a', 'b', 'c'], h2: ['a', 'b', 'c'], h3: ['a'], h4: ['b', 'c', 'd'] };
    expect(chooseCohort(verdicts, 3)).toEqual(['b', 'c']);
    expect(chooseCohort({ h1: ['a'], h2: ['a'] }, 3)).toEqual([]);
    const many = Array.from({ length: 100 }, (_, i) => `d${i}`.padStart(4, '0')).sort();
    const rejecting = (count: number) => ({ h1: many, h2: many, h3: many, h4: many.slice(count) });
    expect(chooseCohort(rejecting(10), 3, 50)).toHaveLength(90);
    expect(chooseCohort(rejecting(11), 3, 50)).toHaveLength(100);
    expect(chooseCohort(rejecting(5), 3, 96)).toHaveLength(100);
    expect(activeSets(4, 2).map(String)).toEqual(['1,2', '1,3', '1,4', '2,3', '2,4', '3,4']);
  });
});

describe('certifying', () => {
  test('a quorum of signatures settles the round once and opens it', () => {
    const drive = new Drive().certifying();
    expect(drive.feed(signed('h2'), signed('h4'))).toEqual([]);
    expect(drive.feed(signed('h1'))).toEqual(['settle', 'partial h1', 'partial h2']);
    drive.feed(signed('h3'));
    expect(drive.effects.filter((effect) => effect.type === 'settle')).toHaveLength(1);
  });

  test('the fourth holder signs when one of the three that accepted goes away', () => {
    const drive = new Drive().certifying();
    drive.feed(failed('h1', 'certificate'), signed('h2'), signed('h3'), signed('h4'));
    expect(drive.state.phase).toBe('opening');
  });

  test('two away: it waits, says so, and goes on when one is back', () => {
    const drive = new Drive().certifying();
    drive.feed(signed('h1'), signed('h2'), failed('h3', 'certificate'), failed('h4', 'certificate'));
    drive.after(3000);
    expect(drive.state).toMatchObject({ phase: 'certifying', stuck: true });
    expect(drive.state.message).toBe(
      '2 of 4 key holders answer, 3 to sign; the reservation stays held, nothing is opened',
    );
    drive.feed(signed('h4'));
    expect(drive.state).toMatchObject({ phase: 'opening', stuck: false });
  });

  test('a holder that fails is asked again after 200 ms, then twice as long, at most 5 s', () => {
    const drive = new Drive().certifying();
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      drive.feed(failed('h1', 'certificate'));
      let waitedMs = 0;
      while (drive.after(50).length === 0 && waitedMs < 10_000) waitedMs += 50;
      waits.push(waitedMs + 50);
    }
    expect(waits).toEqual([200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
  });
});

describe('aborting', () => {
  test('an operator may abort while uploads are collected or checked', () => {
    const drive = new Drive().frozen();
    expect(drive.feed({ type: 'abort_requested', reason: 'operator' })).toEqual(everybody('abort'));
    expect(drive.feed(aborts('h2'), aborts('h3'), aborts('h4'))).toEqual(['void']);
    expect(drive.state).toMatchObject({ phase: 'aborted', message: 'operator' });
  });

  test('once signatures were asked for there is no abort: a lost answer could split the holders two to two', () => {
    const drive = new Drive().certifying();
    expect(drive.feed({ type: 'abort_requested', reason: 'operator' })).toEqual([]);
    expect(drive.state.phase).toBe('certifying');
    expect(drive.state.message).toMatch(/already asked to certify/);
    drive.feed(signed('h1'), signed('h2'), signed('h3'));
    expect(drive.state.phase).toBe('opening');
  });

  test.each(['opening', 'opened', 'released', 'aborted'] as const)('refused in %s', (phase) => {
    const drive = new Drive().opening();
    if (phase !== 'opening') drive.feed(partial('h1', 1, 2), partial('h2', 1, 2), { type: 'sum_opened' });
    if (phase === 'released') drive.feed({ type: 'released' });
    if (phase === 'aborted') drive.state = { ...drive.state, phase };
    expect(drive.feed({ type: 'abort_requested', reason: 'too late' })).not.toContain('abort h1');
    expect(drive.state.phase).toBe(phase);
  });

  test('a second request keeps the first reason: a holder signs no other', () => {
    const drive = new Drive().frozen();
    drive.feed({ type: 'abort_requested', reason: 'first' });
    drive.feed({ type: 'abort_requested', reason: 'second' });
    expect(drive.state.abortReason).toBe('first');
  });
});
