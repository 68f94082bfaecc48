/**
 * Turns an opened sum into a release, once: next model or metrics, registry, log, export.
 *
 * Trusts: the store. May be called by: coordinator/coordinator.ts.
 */
import { toHex, utf8 } from '../crypto/bytes.ts';
import { canonicalJson } from '../crypto/log/canonical-json.ts';
import type { ParsedPlan } from '../protos/plan.ts';
import { encodeReals } from '../protos/reals.ts';
import { weightsDigest } from '../protos/statements.ts';
import { type OpenedSum, releaseEvaluation, releaseTraining } from './aggregation/release.ts';
import { weightsFromBytes, weightsToBytes } from './aggregation/weights.ts';
import type { ActiveRound } from './rounds/active-round.ts';
import * as repository from './rounds/repository.ts';
import type { RoundServices } from './rounds/services.ts';
import type { Database } from './storage/store.ts';

/**
 * Idempotent: the round's summary is written in the same transaction as the model, so a crash in between repeats the
 * whole step and a crash after it repeats nothing.
 */
export function releaseRound(
  services: Pick<RoundServices, 'store' | 'suite' | 'budget'>,
  parsed: ParsedPlan,
  round: ActiveRound,
): void {
  const { round: number, kind } = round.state;
  services.store.transaction('release', (db) => {
    if (repository.getRound(db, parsed.hashHex, number)?.summary) return;
    const stored = repository.getSum(db, parsed.hashHex, number)!;
    const bytes = stored.digits;
    const digits = new Int32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    const cohortCount = round.state.cohort?.length ?? 0;
    const { clip } = round.config.config;
    const { startVersion } = round.state;
    const sum: OpenedSum = {
      digits,
      round: number,
      cohortCount,
      groups: stored.groups,
      ...(clip === undefined ? {} : { clip }),
      // Evaluation rounds start when every training round has ended.
      ...(startVersion === undefined || kind !== 'training'
        ? {}
        : { staleness: repository.roundSummaries(db, parsed.hashHex).length - startVersion }),
    };
    const summary =
      kind === 'training'
        ? releaseModel(services, db, parsed, sum)
        : releaseMetrics(services, db, parsed, sum);
    const text = canonicalJson(
      encodeReals({ ...summary, kind, round: number, cohortCount: sum.cohortCount }),
    );
    repository.setRoundSummary(db, parsed.hashHex, number, text);
  });
}

function releaseModel(
  { suite, budget }: Pick<RoundServices, 'suite' | 'budget'>,
  db: Database,
  parsed: ParsedPlan,
  sum: OpenedSum,
): object {
  const plan = repository.getPlan(db, parsed.hashHex)!;
  // The newest model, which is the one that the round started from unless rounds overlap.
  const before = weightsFromBytes(repository.getBlob(db, plan.model_hash)!);
  const after = releaseTraining(parsed, sum, before, plan.optimizer);
  const bytes = weightsToBytes(after.weights);
  const modelHash = toHex(weightsDigest(suite, bytes));
  repository.putBlob(db, modelHash, bytes);
  repository.setPlanModel(db, parsed.hashHex, modelHash, after.optimizer);
  const { staleness } = sum;
  const stale = staleness === undefined ? {} : { staleness };
  budget.logRelease(db, parsed, { round: sum.round, what: 'model', contentHash: modelHash, ...stale });
  // Rounds that open from now on have this clip (rounds/runner.ts).
  return { modelHash, ...(after.clip ? { clip: after.clip } : {}), ...stale };
}

function releaseMetrics(
  { suite, budget }: Pick<RoundServices, 'suite' | 'budget'>,
  db: Database,
  parsed: ParsedPlan,
  sum: OpenedSum,
): object {
  const { histogram, metrics } = releaseEvaluation(parsed, sum);
  const content = { histogram, metrics };
  const contentHash = toHex(suite.digest(utf8(canonicalJson(encodeReals(content)))));
  budget.logRelease(db, parsed, { round: sum.round, what: 'metrics', contentHash });
  return content;
}
