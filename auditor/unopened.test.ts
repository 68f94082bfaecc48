/**
 * Goal: a round ends once. A round may be given up as unopened after its certificate and with nothing of it opened, and
 * no round is released twice. Method: a sound log whose last round is given up, then one leaf changed at a time.
 */
import { describe, expect, it } from 'vitest';
import type { Leaf, LeafOf } from '../crypto/log/leaves.ts';
import { checkRounds, contextOf } from './check-rounds.ts';
import { Findings } from './findings.ts';
import { bookOf } from './round-book.ts';
import type { RoundFile } from './run-directory.ts';
import { RunFixture } from './testing.ts';

const run = new RunFixture();
const sum = run.leaf('opened_sum', 3);
const release = run.leaf('release', 3);
const { certificateHash } = sum;

const unopened = {
  kind: 'unopened',
  version: 1,
  timeMs: release.timeMs,
  planHash: release.planHash,
  round: 3,
  certificateHash,
  reason: 'a test',
} as LeafOf<'unopened'>;

function audit(leaves: readonly Leaf[]): string[] {
  const findings = new Findings();
  const book = bookOf(
    leaves.map((leaf, number) => ({ number, leaf })),
    run.parsed.hashHex,
  );
  checkRounds(contextOf(run.parsed, findings), book, [...run.roundFiles.values()].slice(0, 2) as RoundFile[]);
  return findings.list.map(({ code, message }) => `${code} ${message}`);
}

/** The fixture's log with the sum and the release of round 3 replaced. */
const ending = (...leaves: Leaf[]): Leaf[] => [
  ...run.leaves.filter((leaf) => leaf !== sum && leaf !== release),
  ...leaves,
];

describe('a round that ends', () => {
  it('is given up after its certificate', () => {
    expect(audit(ending(unopened))).toEqual([]);
  });

  it.each<[string, Leaf[], RegExp]>([
    ['given up twice', ending(unopened, unopened), /given up 2 times/],
    ['given up and opened', ending(unopened, sum), /yet its sum was opened/],
    ['opened and given up', ending(sum, unopened), /yet its sum was opened/],
    ['given up, then opened and released', ending(unopened, sum, release), /opened or released/],
    ['given up before its certificate', [unopened, ...ending()], /without its certificate/],
    [
      'given up under another certificate',
      ending({ ...unopened, certificateHash: 'e'.repeat(64) }),
      /without its certificate/,
    ],
    [
      'aborted and given up',
      [...run.leaves, { ...unopened, round: 2 }],
      /round 2 .* without its certificate/,
    ],
    ['released twice', [...run.leaves, release], /released 2 times/],
  ])('is refused where it was %s', (_name, leaves, message) => {
    const found = audit(leaves);
    expect(found.filter((one) => one.startsWith('ROUND_INCONSISTENT'))).toEqual([
      expect.stringMatching(message),
    ]);
  });
});
