/**
 * The canary audit of a plan: does its mechanism, as the code runs it, contradict the ε that the plan claims?
 *
 * A bug alarm. It proves lower bounds and compares known facts of the mechanism; it never confirms an ε.
 * For: `pulsefold audit canary`. Trusts: an approved plan. May be called by: cli/commands/audit-canary.ts, tests.
 */
import {
  CANARY_NOTE,
  type CanaryCheck,
  type CanaryReport,
  verdictOf,
} from '../../auditor/canary/canary-report.ts';
import { gaussianEpsilon } from '../../auditor/canary/gaussian-tradeoff.ts';
import { NoiseTally } from '../../auditor/canary/noise-tally.ts';
import { normalQuantile } from '../../auditor/canary/special-functions.ts';
import { parseRational, rationalToNumber } from '../../crypto/dp/rational.ts';
import { type RandomSource, seededRandom, systemRandom } from '../../crypto/random.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { accountPlan, epsilonOfAmount } from '../../protos/plan-mechanism.ts';
import { Bench, quietPlan, type Stage, stageOf } from './bench.ts';
import { canariesPerPass, oneRunBound, replayBound } from './bounds.ts';
import {
  cellCheck,
  cellReleases,
  clipCheck,
  NOISE_CHECKS,
  noiseChecks,
  planCrowd,
  planRounding,
  releasesFor,
  roundAt,
  roundingCheck,
  type Shift,
} from './checks.ts';
import { directionsOf } from './directions.ts';
import { type CanarySubject, productionSubject, requirePrivacy } from './pipeline.ts';

/** From here on one run with many canaries takes the place of many replays. */
export const ONE_RUN_DIMENSION = 100_000;

/** Chance that a correct mechanism sets off any alarm, shared out over all checks. */
export const FALSE_ALARM_RATE = 0.01;
/** Of which the bound on ε gets this much. */
const BOUND_SIGNIFICANCE = 0.002;

export interface CanaryAuditOptions {
  /** Runs with the canary (and as many without), or passes of a one-run audit. Default: by the plan's size. */
  readonly runs?: number;
  /** Makes the audit repeatable; its noise protects nobody. Default: the system's randomness. */
  readonly seed?: string;
  readonly mode?: 'replay' | 'one-run';
  /** What is audited; by default the code in production. Tests put weakened mechanisms here. */
  readonly subject?: (parsed: ParsedPlan) => CanarySubject;
  /** ε that is tested instead of the plan's own account, for the same rounds. */
  readonly claim?: number;
  /** Releases made and planned. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** About 20 s of replays on one core, 5 s for each direction (checks.ts: `releasesFor`). */
const REPLAY_WORK = 2e7;
const CHECK_WORK = 5e6;
const RUNS_MAX = 1000;
/** Values from which the noise is judged at the least. */
const NOISE_VALUES = 40_000;
const REPLAYED_ROUNDS_MAX = 20;

/** The plan as it is, and the two copies in which noise hides less. */
interface Benches {
  readonly own: Bench;
  /** With the plan's own sampling. */
  readonly quiet: Bench;
  /** Without sampling. */
  readonly still: Bench;
}

/** @throws PLAN_INVALID for a plan without privacy, BUDGET_EXCEEDED for one whose noise does not keep its ε. */
export async function auditCanaries(
  parsed: ParsedPlan,
  options: CanaryAuditOptions = {},
): Promise<CanaryReport> {
  requirePrivacy(parsed);
  const { plan } = parsed;
  const account = accountPlan(parsed)!;
  const random: RandomSource =
    options.seed === undefined ? systemRandom : seededRandom(`audit-canary/${options.seed}`);
  let done = 0;
  let total = 0;
  const benchOf = (audited: ParsedPlan) =>
    new Bench({
      parsed: audited,
      random,
      subject: (options.subject ?? productionSubject)(audited),
      onRelease: () => {
        done++;
        options.onProgress?.(done, Math.max(total, done));
      },
    });
  const benches = {
    own: benchOf(parsed),
    quiet: benchOf(quietPlan(parsed, false)),
    still: benchOf(quietPlan(parsed, true)),
  };
  const schedule = planAudit(benches, options);
  total = schedule.total;
  const { mode, rounds, runs } = schedule;
  const claimed =
    options.claim ?? epsilonOfAmount(account.order, account.charge.training * rounds, account.delta);
  const outcome = await lowerBound(benches.own, schedule, account.delta);
  const facts = await factChecks(benches, outcome.tally, schedule);
  const checks = [boundCheck(outcome.bound, claimed, rounds), ...facts.checks];
  const accounting = accountingCheck(facts, schedule, claimed, account.delta);
  if (accounting) checks.push(accounting);
  return {
    plan: plan.name,
    planHash: parsed.hashHex,
    mode,
    noise: random.seeded ? 'seeded, not private' : 'system',
    runs,
    canaries: outcome.canaries,
    rounds,
    releases: done,
    epsilonStated: rationalToNumber(parseRational(plan.privacy!.epsilon)),
    epsilonClaimed: claimed,
    delta: account.delta,
    epsilonLowerBound: outcome.bound,
    confidence: 1 - BOUND_SIGNIFICANCE,
    bounds: outcome.bounds,
    falseAlarmRate: FALSE_ALARM_RATE,
    estimates: outcome.estimates,
    checks,
    verdict: verdictOf(checks),
    note: CANARY_NOTE,
  };
}

function boundCheck(bound: number, claimed: number, rounds: number): CanaryCheck {
  return {
    name: 'bound',
    status: bound > claimed ? 'alarm' : 'ok',
    observed: bound,
    limit: claimed,
    detail: `the attack proves at least ${bound.toFixed(3)} of the ${claimed.toFixed(3)} that ${rounds} rounds claim`,
  };
}

interface Facts {
  readonly checks: readonly CanaryCheck[];
  /** Of the whole update. */
  readonly shift: Shift;
  readonly varianceRatio: number;
  readonly values: number;
}

/** Everything but the bound: noise on the plan as it is, reach and rounding on its quiet copies. */
async function factChecks(
  { own, quiet, still }: Benches,
  tally: NoiseTally,
  schedule: Schedule,
): Promise<Facts> {
  const { training, evaluation, score, rounding } = schedule;
  for (let i = 0; i < schedule.noiseReleases; i++)
    tally.add((await own.release(training, roundAt(i, own.parsed.plan.rounds.training), [])).rotated());
  const checks = noiseChecks(training, tally, score);
  const shift = await clipCheck(quiet, stageOf(quiet.parsed, 'training'), schedule.whole, score);
  checks.push(shift.check);
  if (shift.bit) checks.push(shift.bit.check);
  const stillTraining = stageOf(still.parsed, 'training');
  for (const crowd of schedule.layers)
    checks.push((await clipCheck(still, stillTraining, crowd, score)).check);
  if (rounding) checks.push(await roundingCheck(still, stillTraining, rounding, score));
  if (evaluation) {
    const counts = new NoiseTally();
    for (let i = 0; i < schedule.evaluationReleases; i++)
      counts.add((await own.release(evaluation, 1, [])).rotated());
    checks.push(...noiseChecks(evaluation, counts, score));
    const stage = stageOf(still.parsed, 'evaluation');
    checks.push(await cellCheck(still, stage, schedule.cellReleases, score));
  }
  const { varianceRatio, values } = tally.scores(training.noise);
  return { checks, shift, varianceRatio, values };
}

/**
 * ε of normal noise of the variance that was seen against a reach of the length that was seen, both taken with the
 * benefit of the doubt: a wrong sensitivity or share count in the account shows here long before it shows in runs.
 * Without sampling only, whose curve is another.
 */
function accountingCheck(
  { shift, varianceRatio, values }: Facts,
  { training, rounds, score }: Schedule,
  claimed: number,
  delta: number,
): CanaryCheck | null {
  if (training.samplingRate !== 1) return null;
  const surely = ({ moved, error }: Pick<Shift, 'moved' | 'error'>) => Math.max(0, moved - score * error);
  const bit = shift.bit ? surely(shift.bit) * training.bitUnits : 0;
  const reach = Math.hypot(surely(shift) * training.unitsPerClip, bit);
  const variance = training.noise.variance * varianceRatio * (1 + score * Math.sqrt(2 / values));
  const mu = (reach * Math.sqrt(rounds)) / Math.sqrt(variance);
  const epsilon = mu > 0 ? gaussianEpsilon(Math.min(mu, MU_MAX), delta) : 0;
  return {
    name: 'accounting',
    status: epsilon > claimed ? 'alarm' : 'ok',
    observed: epsilon,
    limit: claimed,
    detail: `reach and noise as seen make at least ${epsilon.toFixed(3)} of the ${claimed.toFixed(3)} claimed`,
  };
}

/** Beyond it ε is some hundred, and says no more. */
const MU_MAX = 25;

type Schedule = ReturnType<typeof planAudit>;

/** How many releases each part takes; from the plan alone, so that a seed repeats everything. */
function planAudit({ own, quiet, still }: Benches, options: CanaryAuditOptions) {
  const { rounds: planned } = own.parsed.plan;
  const training = stageOf(own.parsed, 'training');
  const { shares, dimension } = training;
  const evaluation = planned.evaluation > 0 ? stageOf(own.parsed, 'evaluation') : null;
  const mode = options.mode ?? (dimension >= ONE_RUN_DIMENSION ? 'one-run' : 'replay');
  const rounds = mode === 'replay' ? Math.min(planned.training, REPLAYED_ROUNDS_MAX) : 1;
  const usual =
    mode === 'replay'
      ? releasesFor(REPLAY_WORK / (2 * rounds), shares, dimension, 40, RUNS_MAX)
      : Math.max(1, Math.min(8, Math.ceil(1000 / canariesPerPass(own, training))));
  const runs = options.runs ?? usual;
  const [everything, ...parts] = directionsOf(own.parsed, training, own.random);
  const perRecord = Number(own.byRecord);
  const bits = Number(training.bitUnits > 0);
  const tests = 2 + parts.length + NOISE_CHECKS + perRecord + bits + (evaluation ? NOISE_CHECKS + 1 : 0);
  const score = normalQuantile(1 - (FALSE_ALARM_RATE - BOUND_SIGNIFICANCE) / tests / 2);
  const whole = planCrowd(quiet, stageOf(quiet.parsed, 'training'), everything!, CHECK_WORK);
  const stillTraining = stageOf(still.parsed, 'training');
  const layers = parts.map((part) => planCrowd(still, stillTraining, part, CHECK_WORK));
  const roundingMax = releasesFor(CHECK_WORK, shares, dimension, 2, 400);
  const rounding = own.byRecord ? planRounding(still, stillTraining, roundingMax, score) : null;
  const noiseReleasesOf = (stage: Stage) =>
    Math.min(
      releasesFor(CHECK_WORK, stage.shares, stage.dimension, 2, 4000),
      Math.max(2, Math.ceil(NOISE_VALUES / stage.dimension)),
    );
  // Replays without the canary are releases of noise as well.
  const noiseReleases =
    mode === 'replay' ? Math.max(0, noiseReleasesOf(training) - runs * rounds) : noiseReleasesOf(training);
  const evaluationReleases = evaluation ? noiseReleasesOf(evaluation) : 0;
  const cells = evaluation ? cellReleases(still, stageOf(still.parsed, 'evaluation'), 4000) : 0;
  const total =
    (mode === 'replay' ? 2 * runs * rounds : runs) +
    noiseReleases +
    [whole, ...layers].reduce((sum, { releases }) => sum + releases, 0) +
    (rounding?.releases ?? 0) +
    evaluationReleases +
    cells;
  return {
    ...{ training, evaluation, mode, runs, rounds, score, whole, layers, rounding },
    ...{ noiseReleases, evaluationReleases, cellReleases: cells, total },
  } as const;
}

async function lowerBound(bench: Bench, { mode, runs, rounds, training: stage }: Schedule, delta: number) {
  const tally = new NoiseTally();
  if (mode === 'replay') {
    const options = { runs, rounds, significance: BOUND_SIGNIFICANCE, delta };
    const { any, gaussian } = await replayBound(bench, stage, tally, options);
    const bounds: Record<string, number> = { clopperPearson: any };
    if (gaussian !== null) bounds.clopperPearsonGaussian = gaussian;
    return { bound: Math.max(any, gaussian ?? 0), canaries: 1, tally, bounds, estimates: {} };
  }
  const options = { passes: runs, significance: BOUND_SIGNIFICANCE, delta };
  const outcome = await oneRunBound(bench, stage, options);
  return {
    bound: Math.max(outcome.steinke, outcome.gaussian),
    canaries: outcome.canaries,
    tally,
    bounds: { oneRun: outcome.steinke, oneRunGaussian: outcome.gaussian },
    estimates: outcome.cosine === null ? {} : { cosine: outcome.cosine },
  };
}
