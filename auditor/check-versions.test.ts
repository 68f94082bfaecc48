/**
 * Goal: of rounds that overlap the auditor accepts exactly the orders that a plan allows, and recomputes how late each sum
 * was and which clip followed. Method: leaves of stories that are in order, and the same with one thing changed.
 */
import { describe, expect, it } from 'vitest';
import type { Leaf } from '../crypto/log/leaves.ts';
import { initialWeights } from '../protos/model.ts';
import { finishPlan, type ParsedPlan } from '../protos/plan.ts';
import { contextOf } from './check-rounds.ts';
import { checkVersions } from './check-versions.ts';
import { Findings } from './findings.ts';
import { bookOf } from './round-book.ts';
import type { RoundFile } from './run-directory.ts';
import { RunFixture } from './testing.ts';

const fixture = new RunFixture({});
const { plan } = fixture.parsed;
const planOf = (overlap: number, mechanism = {}): ParsedPlan =>
  finishPlan({
    ...plan,
    training: { ...plan.training, strategy: overlap > 0 ? 'fedbuff' : 'fedavg' },
    rounds: { ...plan.rounds, training: 2, ...(overlap > 0 ? { overlap } : {}) },
    mechanism: { ...plan.mechanism, ...mechanism },
  });

fixture.weights = initialWeights(plan.model, plan.seed);
const INITIAL = fixture.modelHash();
const model = (version: number) => (version === 0 ? INITIAL : fixture.hash('model', version));

/** `open 2 from 0`, `release 2 as 1 late 1`, `abort 2`, `evaluate 3 from 1`. */
function leavesOf(story: string, { hashHex: planHash }: ParsedPlan): Leaf[] {
  return story.split(', ').map((text) => {
    const [what, round, , version, , staleness] = text.split(' ');
    const at = { version: 1, timeMs: 1, planHash, round: Number(round) };
    if (what === 'abort') return { ...at, kind: 'abort', reason: 'a test', signatures: [] };
    if (what === 'unopened') return { ...at, kind: 'unopened', certificateHash: INITIAL, reason: 'a test' };
    if (what === 'release')
      return {
        ...at,
        kind: 'release',
        what: 'model',
        contentHash: model(Number(version)),
        ...(staleness === undefined ? {} : { staleness: Number(staleness) }),
      };
    const purpose = what === 'evaluate' ? 'evaluation' : 'training';
    return { ...at, kind: 'round_opened', modelHash: model(Number(version)), purpose };
  }) as unknown as Leaf[];
}

function audit(story: string, parsed: ParsedPlan, files: readonly Partial<RoundFile>[] = []): string[] {
  const findings = new Findings();
  const leaves = leavesOf(story, parsed).map((leaf, number) => ({ number, leaf }));
  const book = bookOf(leaves, parsed.hashHex);
  checkVersions(contextOf(parsed, findings), book, { files: files as RoundFile[], model: undefined });
  return findings.list.map(({ code, round }) => `${code} ${round}`);
}

describe('orders that a plan allows', () => {
  it.each([
    [
      0,
      'open 1 from 0, release 1 as 1, open 2 from 1, abort 2, open 3 from 1, release 3 as 2, evaluate 4 from 2',
    ],
    [
      1,
      'open 1 from 0, open 2 from 0, release 1 as 1 late 0, release 2 as 2 late 1, open 3 from 2, release 3 as 3 late 0',
    ],
    [1, 'open 1 from 0, open 2 from 0, release 1 as 1 late 0, open 3 from 1, abort 2, release 3 as 2 late 0'],
    [
      1,
      'open 1 from 0, open 2 from 0, unopened 1, open 3 from 0, release 2 as 1 late 0, release 3 as 2 late 1',
    ],
    [
      2,
      'open 1 from 0, open 2 from 0, open 3 from 0, release 1 as 1 late 0, release 2 as 2 late 1, release 3 as 3 late 2',
    ],
  ])('overlap %i: %s', (overlap, story) => {
    expect(audit(story, planOf(overlap))).toEqual([]);
  });
});

describe('refused', () => {
  it.each([
    ['a round beside another where none may be', 0, 'open 1 from 0, open 2 from 0', 'ROUND_INCONSISTENT 2'],
    [
      'one round more than the plan allows',
      1,
      'open 1 from 0, open 2 from 0, open 3 from 0',
      'ROUND_INCONSISTENT 3',
    ],
    [
      'a slow round that is passed by, however many between have aborted',
      1,
      'open 1 from 0, open 2 from 0, abort 2, open 3 from 0',
      'ROUND_INCONSISTENT 3',
    ],
    [
      'a release before an earlier round has ended',
      1,
      'open 1 from 0, open 2 from 0, release 2 as 1 late 0, release 1 as 2 late 1',
      'ROUND_INCONSISTENT 2',
    ],
    [
      'a release of a round that was aborted',
      0,
      'open 1 from 0, abort 1, release 1 as 1',
      'ROUND_INCONSISTENT 1',
    ],
    [
      'a second release, which moves the model once more',
      0,
      'open 1 from 0, release 1 as 1, release 1 as 2, open 2 from 2',
      'ROUND_INCONSISTENT 1',
    ],
    [
      'a release after the round was given up and later ones have passed it',
      1,
      'open 1 from 0, open 2 from 0, unopened 1, open 3 from 0, release 1 as 1 late 0, release 2 as 2 late 1',
      'ROUND_INCONSISTENT 1',
    ],
    ['an evaluation beside training', 1, 'open 1 from 0, evaluate 2 from 0', 'ROUND_INCONSISTENT 2'],
    ['training beside an evaluation', 1, 'evaluate 1 from 0, open 2 from 0', 'ROUND_INCONSISTENT 2'],
    [
      'a start from an older version than the newest',
      1,
      'open 1 from 0, release 1 as 1 late 0, open 2 from 0',
      'MODEL_MISMATCH 2',
    ],
    ['a start from a model of nobody', 1, 'open 1 from 7', 'MODEL_MISMATCH 1'],
    [
      'a late sum that counts like a fresh one',
      1,
      'open 1 from 0, open 2 from 0, release 1 as 1 late 0, release 2 as 2 late 0',
      'STALENESS_MISMATCH 2',
    ],
    [
      'a fresh sum that counts like a late one',
      1,
      'open 1 from 0, release 1 as 1 late 1',
      'STALENESS_MISMATCH 1',
    ],
    ['a staleness that is not stated', 1, 'open 1 from 0, release 1 as 1', 'STALENESS_MISMATCH 1'],
    ['a discount where nothing overlaps', 0, 'open 1 from 0, release 1 as 1 late 1', 'STALENESS_MISMATCH 1'],
  ])('%s', (_, overlap, story, code) => {
    expect(audit(story, planOf(overlap))).toEqual([code]);
  });

  it('a sum later than the plan allows, whatever it states', () => {
    const story =
      'open 1 from 0, open 2 from 0, open 3 from 0, release 1 as 1 late 0, release 2 as 2 late 1, release 3 as 3 late 2';
    expect(audit(story, planOf(1))).toEqual(['ROUND_INCONSISTENT 3', 'STALENESS_MISMATCH 3']);
  });
});

describe('a clip that adapts', () => {
  const adaptiveClip = { quantile: '1/2', learningRate: 0.2, bitUnits: 16, clipMin: '1/100', clipMax: '100' };
  const parsed = planOf(1, { adaptiveClip });
  const story = 'open 1 from 0, open 2 from 0, release 1 as 1 late 0, release 2 as 2 late 1';
  const file = (round: number, fractionWithin: number, next: string) =>
    ({ round, summary: { clip: { fractionWithin, next } } }) as Partial<RoundFile>;
  /** exp(0.2·(1/2 − b)) in 20 binary digits: both rounds had the plan's clip of 1. */
  const nextOf = (fractionWithin: number) => {
    const moved = Math.exp(-0.2 * (fractionWithin - 0.5));
    const unit = 2 ** (Math.floor(Math.log2(moved)) - 19);
    return `${Math.floor(moved / unit) * unit * 2 ** 20}/${2 ** 20}`;
  };

  it('follows from the clip that each round was opened with', () => {
    expect(audit(story, parsed, [file(1, 0.25, nextOf(0.25)), file(2, 0.75, nextOf(0.75))])).toEqual([]);
  });

  it('is refused where it follows from another round', () => {
    const chained = `${Math.floor(Math.exp(0.05) * Math.exp(-0.05) * 2 ** 19) * 2}/${2 ** 20}`;
    expect(audit(story, parsed, [file(1, 0.25, nextOf(0.25)), file(2, 0.75, chained)])).toEqual([
      'CLIP_MISMATCH 2',
    ]);
    expect(audit(story, parsed, [file(1, 0.25, 'x'), file(2, 0.75, nextOf(0.75))])).toEqual([
      'CLIP_MISMATCH 1',
    ]);
  });
});
