// Which round opens next: properties over random stories of rounds that end in any order, released or not.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { committeeKeyCount, type Plan } from '../../protos/plan.ts';
import type { RoundState } from './machine-types.ts';
import { leavesRoom, nextRound } from './overlap.ts';

const planOf = (overlap: number, training = 6, evaluation = 2, spare = 20) =>
  ({ rounds: { overlap, training, evaluation, spare } }) as unknown as Plan;
const terms = { cohortMax: 8, checkInWindowMs: 1000 } as RoundState['terms'];
const stateOf = (round: number, kind: RoundState['kind'], more: Partial<RoundState> = {}): RoundState =>
  ({ round, kind, phase: 'accepting', terms, invited: [], quorateAtMs: null, ...more }) as RoundState;

it('keeps open rounds within overlap + 1 numbers, makes exactly the planned releases, and evaluates alone', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 4 }),
      fc.infiniteStream(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 3 }))),
      (overlap, choices) => {
        const plan = planOf(overlap);
        let open: RoundState[] = [];
        let [released, lastRound, most] = [0, 0, 0];
        for (const [which, fate] of choices) {
          const next = nextRound({ plan, released, lastRound, open, nowMs: 0 });
          if (next.type === 'finished' || lastRound >= committeeKeyCount(plan)) break;
          if (next.type === 'open') {
            expect(next.round).toBe(++lastRound);
            open = [...open, stateOf(next.round, next.kind)];
            most = Math.max(most, open.length);
            expect(next.round - open[0]!.round).toBeLessThanOrEqual(overlap);
            if (next.kind === 'evaluation') expect([open.length, released >= 6]).toEqual([1, true]);
            else expect(released + open.length).toBeLessThanOrEqual(6);
            continue;
          }
          // One ends: the oldest if by a release, any if by an abort.
          const ended = fate > 0 ? open[0]! : open[which % open.length]!;
          open = open.filter((state) => state !== ended);
          if (fate > 0) released++;
        }
        expect(released).toBeLessThanOrEqual(8);
        expect(most).toBe(overlap + 1);
      },
    ),
    { numRuns: 100 },
  );
});

it('does not pass a slow round by, however many after it abort: its key would be erased', () => {
  const next = (lastRound: number) =>
    nextRound({ plan: planOf(1), released: 0, lastRound, open: [stateOf(1, 'training')], nowMs: 0 });
  expect(next(1)).toEqual({ type: 'open', round: 2, kind: 'training' });
  // Round 2 has aborted; one open round is less than the two allowed, but round 3 would leave round 1 behind.
  expect(next(2)).toEqual({ type: 'wait' });
});

it('waits for keys while rounds are open, and for the window of a round that wants devices', () => {
  const open = [stateOf(1, 'training')];
  expect(nextRound({ plan: planOf(3, 4, 0, 0), released: 0, lastRound: 4, open, nowMs: 0 }).type).toBe(
    'wait',
  );
  const collecting = (more: Partial<RoundState>) => stateOf(1, 'training', { phase: 'collecting', ...more });
  expect(leavesRoom(collecting({}), 1e9)).toBe(false);
  expect(leavesRoom(collecting({ quorateAtMs: 500 }), 1499)).toBe(false);
  expect(leavesRoom(collecting({ quorateAtMs: 500 }), 1500)).toBe(true);
  expect(leavesRoom(collecting({ invited: Array.from({ length: 8 }, String) }), 0)).toBe(true);
});
