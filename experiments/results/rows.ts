/**
 * Rows of the page's tables and charts: each stored condition with its name, in one order, beside the central model that it
 * pairs with.
 *
 * Pure. May be called by: experiments/results.
 */
import type { LabelKind } from '../../protos/features.ts';
import type { Estimate } from '../runs/statistics.ts';
import type { ResultTable } from './catalogue.ts';
import { differenceOf, meanOfMetric, primaryOf, runOf } from './figures-of.ts';
import type { StoredCondition, StoredModel, StoredResults } from './stored.ts';

export interface ResultRow {
  readonly name: string;
  readonly condition: StoredCondition;
  readonly primary: Estimate;
  /** Row − central on the same rows, seed by seed; null for central itself. */
  readonly difference: Estimate | null;
}

export interface FilledTable {
  readonly title: string;
  readonly task: LabelKind;
  readonly rows: readonly ResultRow[];
}

const ORDER: readonly StoredModel[] = ['central', 'local', 'federated', 'common', 'personal'];

/** Null where none of the table's runs has been done. */
export function filledTable(results: StoredResults, { title, runs }: ResultTable): FilledTable | null {
  const found = runs.flatMap((id) => runOf(results, id) ?? []);
  const first = found[0];
  if (!first) return null;
  const metric = primaryOf(first);
  const conditions = found.flatMap((run) => run.conditions);
  const centralOf = ({ label, privacy, model }: StoredCondition): StoredCondition | undefined => {
    // The common model is what adaptation starts from: both are judged on the rows that are left.
    const reference = model === 'personal' ? 'common' : 'central';
    const references = conditions.filter((one) => one.model === reference);
    const own = privacy ? undefined : references.find((one) => one.label === label);
    return own ?? references[0];
  };
  const places = [...new Set(conditions.map(({ label }) => placeOf(label)))];
  const rows = conditions.flatMap((condition): ResultRow[] => {
    const primary = meanOfMetric(condition, metric);
    if (primary === null) return [];
    const central = centralOf(condition);
    const pairs = central && central !== condition && condition.model !== 'common';
    return [
      {
        name: nameOf(condition),
        condition,
        primary,
        difference: pairs ? differenceOf(condition, central, metric) : null,
      },
    ];
  });
  const rank = ({ condition: { model, label } }: ResultRow): number =>
    places.indexOf(placeOf(label)) * ORDER.length + ORDER.indexOf(model);
  const budget = ({ condition: { privacy } }: ResultRow): number => privacy?.epsilon ?? 0;
  rows.sort((a, b) => rank(a) - rank(b) || budget(a) - budget(b));
  return { title, task: first.task, rows: rows.filter((row, i) => !isRepeated(rows, row, i)) };
}

/** Every point of a sweep over budgets has the same baselines. */
function isRepeated(rows: readonly ResultRow[], { condition, name }: ResultRow, at: number): boolean {
  return condition.model !== 'federated' && rows.findIndex((row) => row.name === name) < at;
}

function nameOf({ model, label, privacy }: StoredCondition): string {
  const place = placeOf(label);
  const own = {
    central: 'central',
    local: 'one client alone',
    common: 'federated, later rows',
    personal: 'federated, personalised',
  };
  const name =
    model === 'federated'
      ? `federated${privacy ? `, ε = ${privacy.epsilon} (${privacy.unit})` : ''}`
      : own[model];
  return place === '' ? name : `${place}: ${name}`;
}

/** What a sweep over sites says of a point; nothing of a sweep over budgets, which its own columns say. */
export const placeOf = (label: string): string => /split\.site=(\S+)/.exec(label)?.[1] ?? '';
