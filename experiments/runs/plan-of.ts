/**
 * The plan that an experiment stands for: a real one (protos/plan.ts), its noise calibrated so that the stated ε holds for
 * the smallest cohort.
 *
 * Everything in it is public: sizes come from the scenario, rounded where they would say something about a table.
 * May be called by: experiments.
 */
import { ensure } from '../../crypto/error.ts';
import { inputCount } from '../../protos/features.ts';
import { finishPlan, type ParsedPlan } from '../../protos/plan.ts';
import { calibratedOn, calibratedPlan, type PlanDraft } from './calibrate.ts';
import type { Experiment } from './format.ts';
import type { ExperimentScenario } from './scenario.ts';

/** Keys of the parties that a plan names. */
export interface PlanParties {
  readonly holders: readonly {
    readonly id: string;
    readonly signingPublicKey: string;
    readonly sealingPublicKey: string;
  }[];
  readonly registrarSha256: string;
  readonly coordinatorPublicKey: string;
}

/** Windows of rounds that nobody keeps waiting: simulated time costs nothing, yet a late device stays late. */
const ROUND_TIMES = {
  checkInWindowMs: 60_000,
  deadlineMs: 600_000,
  stragglerMs: 60_000,
  holderDeadlineMs: 60_000,
};
const SPARE_ROUNDS = 2;
/** Fixed point of plans without privacy. */
const UNITS_WITHOUT_PRIVACY = 2 ** 20;
const CLIP_WITHOUT_PRIVACY = '4';
const CLIP_OF_UPDATES = '2';
const CLIP_OF_RECORDS = '1';

/** @throws PLAN_INVALID naming the plan's field; PARAMETER_UNSAFE where no noise fits the budget. */
export function planOf(
  experiment: Experiment,
  parties: PlanParties,
  scenario: ExperimentScenario,
): ParsedPlan {
  const { privacy, suite, evaluation } = experiment;
  const draft = {
    version: 1,
    name: experiment.name,
    purpose: `Simulation on ${scenario.dataset.definition.title}. Research data, not for diagnosis.`.slice(
      0,
      500,
    ),
    suite,
    seed: scenario.seed,
    features: scenario.dataset.schema,
    model: modelOf(experiment, scenario),
    training: experiment.training,
    rounds: roundsOf(experiment, scenario),
    eligibility: eligibilityOf(experiment, scenario),
    evaluation: evaluation.federated
      ? { path: 'federated', bins: evaluation.federated.bins }
      : { path: 'none', bins: 20 },
    aggregation: aggregationOf(experiment),
    holders: parties.holders,
    registrarSha256: parties.registrarSha256,
    coordinatorPublicKey: parties.coordinatorPublicKey,
    mechanism: mechanismOf(experiment, scenario),
  };
  if (privacy === null)
    return finishPlan({
      ...draft,
      mechanism: { ...draft.mechanism, ...gridOf(experiment, UNITS_WITHOUT_PRIVACY) },
      privacy: null,
    });
  const stated = experiment.mechanism?.unitsPerClip;
  if (stated === undefined) return calibratedPlan(draft, privacy, (units) => gridOf(experiment, units));
  const gridded: PlanDraft = { ...draft, mechanism: { ...draft.mechanism, ...gridOf(experiment, stated) } };
  return calibratedOn(gridded, privacy);
}

function modelOf({ model }: Experiment, { dataset }: ExperimentScenario): object {
  const usual = model.kind === 'lr' || model.kind === 'mlp' ? { hidden: [], activation: 'relu' } : {};
  return { ...usual, ...model, inputs: inputCount(dataset.schema), ...outputOf(dataset) };
}

/** Classes or a number, where the label is one; absent for yes and no. */
function outputOf({ schema }: ExperimentScenario['dataset']): object {
  const label = schema.label as { readonly classes?: readonly string[]; readonly target?: object };
  if (label.classes) return { output: { kind: 'classes', count: label.classes.length } };
  return label.target ? { output: { kind: 'regression' } } : {};
}

function roundsOf(experiment: Experiment, scenario: ExperimentScenario): object {
  const { rounds, cohort, evaluation, privacy } = experiment;
  const clients = scenario.clients.length;
  const size = (value: number | 'all'): number => (value === 'all' ? clients : value);
  const cohortTarget = size(cohort.target);
  ensure(
    cohortTarget <= clients,
    'CONFIG_INVALID',
    `cohort.target ${cohortTarget}: the training rows make ${clients} clients`,
  );
  const usual = privacy?.unit === 'record' ? 3 : Math.floor((cohortTarget * 2) / 3);
  const cohortMin =
    cohort.minimum === undefined ? Math.min(cohortTarget, Math.max(2, usual)) : size(cohort.minimum);
  return {
    ...ROUND_TIMES,
    spare: SPARE_ROUNDS,
    ...rounds,
    evaluation: evaluation.federated?.rounds ?? 0,
    cohortMin,
    cohortTarget,
    cohortMax: cohort.maximum === undefined ? cohortTarget : size(cohort.maximum),
  };
}

const recordsMost = ({ clients }: ExperimentScenario): number =>
  clients.reduce((most, { rows }) => Math.max(most, rows.length), 0);

function eligibilityOf({ eligibility }: Experiment, scenario: ExperimentScenario): object {
  return { recordsMin: 1, recordsMax: recordsMaxOf(scenario), ...eligibility };
}

/** A public bound on the size of a client's table, rounded up. */
const recordsMaxOf = (scenario: ExperimentScenario): number =>
  Math.ceil(recordsMost(scenario) / 100) * 100 + 100;

function mechanismOf(experiment: Experiment, scenario: ExperimentScenario): object {
  const { mechanism, privacy, eligibility } = experiment;
  const clip = mechanism?.clip;
  if (privacy?.unit !== 'record')
    return { clip: clip ?? (privacy === null ? CLIP_WITHOUT_PRIVACY : CLIP_OF_UPDATES) };
  const rows = scenario.train.length * rationalNumber(privacy.samplingRate);
  return {
    clip: clip ?? CLIP_OF_RECORDS,
    // Table sizes are public under this neighbouring relation; coarse numbers all the same.
    expectedBatch: mechanism?.expectedBatch ?? String(Math.max(10, Math.round(rows / 10) * 10)),
    recordsMax: eligibility.recordsMax ?? recordsMaxOf(scenario),
  };
}

function rationalNumber(text: string): number {
  const [numerator, denominator = '1'] = text.split('/');
  return Number(numerator) / Number(denominator);
}

/** The grid, and the clip's bit with it: an eighth of a clip costs little and is heard over many devices. */
function gridOf({ adaptiveClip }: Experiment, unitsPerClip: number): object {
  if (!adaptiveClip) return { unitsPerClip };
  const { bitUnits = Math.max(1, Math.floor(unitsPerClip / 8)), ...terms } = adaptiveClip;
  return { unitsPerClip, adaptiveClip: { ...terms, bitUnits } };
}

function aggregationOf({ transport, simulation, groups }: Experiment): object {
  const carried = transport ?? (simulation.seal === 'bfv' ? 'bfv' : 'shares');
  ensure(
    simulation.seal === 'none' || simulation.seal === carried,
    'CONFIG_INVALID',
    `simulation.seal ${simulation.seal} and transport ${carried} contradict each other: leave transport out`,
  );
  ensure(
    groups === undefined || carried === 'shares',
    'CONFIG_INVALID',
    'groups open by shares of seeds: simulation.seal none or shares, transport shares',
  );
  return { transport: carried, ...(groups ? { groups } : {}) };
}
