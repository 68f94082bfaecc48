/**
 * The chain of models: which version each round started from, in which order sums were released, how stale each was, and
 * which clip followed. Written from docs/protocol.md, "Rounds that overlap".
 *
 * A plan with `rounds.overlap` s lets rounds stand open at a time, within s + 1 consecutive numbers. Each starts from the
 * newest version at its opening; releases come in the order of rounds. From the order of the leaves alone that fixes t, the
 * releases between a round's version and the one that its sum moves: t ≤ s. Without overlap it is the plain chain.
 * Trusts: the parsed plan. May be called by: auditor/.
 */

import { toHex } from '../crypto/bytes.ts';
import { compareRational, formatRational, parseRational } from '../crypto/dp/rational.ts';
import type { Suite } from '../crypto/identity/suite.ts';
import { nextClip } from '../protos/adaptive-clip.ts';
import { weightsDigest } from '../protos/statements.ts';
import { initialBlob } from '../protos/strategies/index.ts';
import type { RoundContext } from './check-rounds.ts';
import type { Numbered, PlanBook } from './round-book.ts';
import type { ModelFile, RoundFile } from './run-directory.ts';

const float32Digest = (suite: Suite, weights: readonly number[] | Float32Array): string => {
  const bytes = new Uint8Array(weights.length * 4);
  const view = new DataView(bytes.buffer);
  weights.forEach((weight, i) => {
    view.setFloat32(4 * i, weight, true);
  });
  return toHex(weightsDigest(suite, bytes));
};

type Step =
  | { readonly type: 'opened'; readonly at: Numbered<'round_opened'> }
  | { readonly type: 'released'; readonly at: Numbered<'release'> }
  | { readonly type: 'ended'; readonly at: Numbered<'abort'> | Numbered<'unopened'> };

/** Openings and endings of rounds, as they stand in the log. */
function stepsOf({ rounds }: PlanBook): Step[] {
  const steps = rounds.flatMap((round): Step[] => [
    ...round.round_opened.map((at): Step => ({ type: 'opened', at })),
    ...round.release.map((at): Step => ({ type: 'released', at })),
    ...[...round.abort, ...round.unopened].map((at): Step => ({ type: 'ended', at })),
  ]);
  return steps.sort((a, b) => a.at.number - b.at.number);
}

interface OpenRound {
  /** Of the model versions, 0 the initial one. */
  readonly version: number;
  readonly isTraining: boolean;
  /** Undefined where the plan's clip is fixed. */
  readonly clip: string | undefined;
}

class Chain {
  readonly #context: RoundContext;
  readonly #files: ReadonlyMap<number, RoundFile>;
  readonly #overlap: number;
  readonly #versions: string[];
  readonly #open = new Map<number, OpenRound>();
  #lastOpened = 0;
  #clip: string | undefined;

  constructor(context: RoundContext, files: readonly RoundFile[]) {
    const { parsed, suite } = context;
    const { rounds, mechanism } = parsed.plan;
    this.#context = context;
    this.#files = new Map(files.map((file) => [file.round, file]));
    this.#overlap = rounds.overlap ?? 0;
    this.#versions = [float32Digest(suite, initialBlob(parsed.plan))];
    this.#clip = mechanism.adaptiveClip && formatRational(parseRational(mechanism.clip));
  }

  get newest(): string {
    return this.#versions.at(-1)!;
  }

  opened({ number, leaf }: Numbered<'round_opened'>): void {
    const { findings } = this.#context;
    const { round, modelHash, purpose } = leaf;
    const where = { leaf: number, round };
    const isTraining = purpose === 'training';
    findings.require(
      modelHash === this.newest,
      'MODEL_MISMATCH',
      this.#versions.includes(modelHash)
        ? `round ${round} started from an older model than the newest release`
        : `round ${round} started from a model that no release made`,
      where,
    );
    const standing = [...this.#open].map(([number]) => number);
    const oldest = Math.min(round, ...standing);
    const alone = isTraining && [...this.#open.values()].every((other) => other.isTraining);
    findings.require(
      round > this.#lastOpened && (standing.length === 0 || (alone && round - oldest <= this.#overlap)),
      'ROUND_INCONSISTENT',
      `round ${round} was opened while ${standing.length > 0 ? `round ${oldest} had not ended` : 'a later one had been'}: ` +
        `the plan lets ${this.#overlap} rounds stand open beside the oldest, for training only`,
      where,
    );
    this.#lastOpened = Math.max(this.#lastOpened, round);
    const clip = isTraining ? this.#clip : undefined;
    this.#open.set(round, { version: this.#versions.length - 1, isTraining, clip });
  }

  released({ number, leaf }: Numbered<'release'>): void {
    const { findings } = this.#context;
    const { round, what, contentHash } = leaf;
    const where = { leaf: number, round };
    const started = this.#open.get(round);
    this.#open.delete(round);
    findings.require(
      started !== undefined,
      'ROUND_INCONSISTENT',
      `round ${round} was released while it was not open`,
      where,
    );
    const earlier = [...this.#open.keys()].filter((other) => other < round);
    findings.require(
      earlier.length === 0,
      'ROUND_INCONSISTENT',
      `round ${round} was released before round ${earlier[0]} had ended`,
      where,
    );
    if (what !== 'model') return;
    if (started) {
      const staleness = this.#versions.length - 1 - started.version;
      this.#requireStaleness(where, round, { stated: leaf.staleness, staleness });
      this.#follow(where, round, started.clip);
    }
    this.#versions.push(contentHash);
  }

  ended(round: number): void {
    this.#open.delete(round);
  }

  #requireStaleness(
    where: { readonly leaf: number; readonly round: number },
    round: number,
    { stated, staleness }: { readonly stated: number | undefined; readonly staleness: number },
  ): void {
    const { findings } = this.#context;
    findings.require(
      staleness <= this.#overlap,
      'STALENESS_MISMATCH',
      `the sum of round ${round} is ${staleness} releases late, the plan allows ${this.#overlap}`,
      where,
    );
    const expected = this.#overlap === 0 ? undefined : staleness;
    findings.require(
      stated === expected,
      'STALENESS_MISMATCH',
      `the release of round ${round} states a staleness of ${stated ?? 'none'}; by the log it is ${expected ?? 'none'}`,
      where,
    );
  }

  /** The clip after this release, from the one that the round was opened with. */
  #follow(
    where: { readonly leaf: number; readonly round: number },
    round: number,
    clip: string | undefined,
  ): void {
    const { parsed, findings } = this.#context;
    const terms = parsed.plan.mechanism.adaptiveClip;
    if (!terms || clip === undefined) return;
    const published = this.#files.get(round)?.summary?.clip;
    if (!published) {
      findings.warn(
        'NOT_CHECKED',
        `rounds/${round}.json has no clip: the clips after it were not checked`,
        where,
      );
      return;
    }
    const next = nextClip(terms, parseRational(clip), published.fractionWithin);
    findings.require(
      isSame(published.next, next),
      'CLIP_MISMATCH',
      `after round ${round} the clip is ${next} by the fraction that was published, not ${published.next}`,
      where,
    );
    this.#clip = next;
  }
}

function isSame(stated: string, clip: string): boolean {
  try {
    return compareRational(parseRational(stated), parseRational(clip)) === 0;
  } catch {
    return false;
  }
}

/** Each round starts from the newest release before it, and model.json is the last one. */
export function checkVersions(
  context: RoundContext,
  book: PlanBook,
  { files, model }: { readonly files: readonly RoundFile[]; readonly model: ModelFile | undefined },
): void {
  const chain = new Chain(context, files);
  for (const step of stepsOf(book))
    if (step.type === 'opened') chain.opened(step.at);
    else if (step.type === 'released') chain.released(step.at);
    else chain.ended(step.at.leaf.round);
  if (model === undefined) return;
  const { parsed, suite, findings } = context;
  findings.require(
    model.planHash === parsed.hashHex &&
      model.modelHash === chain.newest &&
      float32Digest(suite, [...model.weights, ...model.companion]) === chain.newest,
    'MODEL_MISMATCH',
    'model.json is not the last released model',
  );
}
