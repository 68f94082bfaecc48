import { expect, it } from 'vitest';
import { parseRun, simulationTable } from './simulation-peers.ts';

const run = {
  contender: 'flower',
  version: '1.41.0',
  seconds: 2,
  startupSeconds: 1,
  roundsPerSecond: 50,
  accuracy: 0.8,
};

it('finds the result among what a contender prints', () => {
  const noise = ['Starting', '{"not": "it"}', JSON.stringify(run), '{"bench":"scaling"}', 'bye'].join('\n');
  expect(parseRun(noise)).toEqual(run);
});

it('says what it saw where there is no result', () => {
  expect(() => parseRun('Traceback\nRuntimeError: no GPU')).toThrow(/no GPU/);
});

it('prints why it was skipped', () => {
  expect(simulationTable({ skipped: 'no Python' })).toContain('no Python');
});
