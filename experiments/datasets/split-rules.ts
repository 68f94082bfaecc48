/**
 * Leak-proof splits: `splitOf` makes them and refuses those that put one person on both sides.
 *
 * For: experiments/ and cli/. Trusts: nothing in a rule (it comes from an experiment file); trusts `person` of the
 * rows, which the loaders check. Pure. The older splitPerSite and splitPersons (splits.ts) stay as they are: figures
 * published for their seeds must not move.
 */
import { z } from 'zod';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { seededRandom, shuffle } from '../../crypto/random.ts';
import type { Split } from './splits.ts';
import { splitPerSite, trainShareDefault } from './splits.ts';
import type { DatasetDefinition, DatasetRow, SplitRule } from './types.ts';

const share = z.number().gt(0).lt(1).optional();
const splitRule = z.discriminatedUnion('rule', [
  z.strictObject({ rule: z.literal('per-site'), share }),
  z.strictObject({ rule: z.literal('index-mod-5') }),
  z.strictObject({
    rule: z.literal('by-person'),
    fold: z.int().min(0).max(99),
    folds: z.int().min(2).max(100),
  }),
  z.strictObject({ rule: z.literal('leave-site-out'), site: z.string().min(1).max(128) }),
  z.strictObject({ rule: z.literal('next-cycle') }),
  z.strictObject({ rule: z.literal('random'), share }),
]);
export const splitRuleNames = splitRule.options.map((option) => option.shape.rule.value);

/**
 * A rule from a file or a command line: the object, or its name alone where nothing else is needed
 * (`by-person` alone is fold 0 of 5).
 * @throws PulsefoldError CONFIG_INVALID with the known rules; PARAMETER_UNSAFE for `official`.
 */
export function parseSplitRule(value: unknown): SplitRule {
  const given = typeof value === 'string' ? { rule: value } : value;
  const rule = (given as { rule?: unknown } | null)?.rule;
  ensure(
    rule !== 'official',
    'PARAMETER_UNSAFE',
    'split "official" is refused: 23 of the 35 official Apnea-ECG test nights are of people who are also in the ' +
      'training nights; use by-person',
  );
  const complete = rule === 'by-person' ? { fold: 0, folds: 5, ...(given as object) } : given;
  const parsed = splitRule.safeParse(complete);
  if (parsed.success) return parsed.data as SplitRule;
  const issue = parsed.error.issues[0];
  const place = issue?.path.join('.');
  throw new PulsefoldError(
    'CONFIG_INVALID',
    `split${place ? `.${place}` : ''}: ${issue?.message ?? 'invalid'}; known: ${splitRuleNames.join(', ')}`,
  );
}

/** What a split needs to know of a data set. */
export interface Splittable {
  readonly definition: Pick<DatasetDefinition, 'name' | 'siteKind'>;
  readonly rows: readonly Pick<DatasetRow, 'index' | 'site' | 'person'>[];
  readonly labels: ArrayLike<number>;
}

/**
 * Training and test rows under `rule`.
 * - per-site: FLamby's; round(share·n) of each (site, label) stratum train
 * - index-mod-5: test = rows whose index in the source file leaves 4 modulo 5; the same for every seed
 * - by-person: k folds of people; people are dealt so that folds have like shares of positives
 * - leave-site-out: one site is the test side
 * - next-cycle: the last cycle is the test side, the ones before train
 * - random: round(share·n) random rows train
 * @throws PulsefoldError CONFIG_INVALID when the rule does not fit the set; DATA_EMPTY for an empty side;
 *   PARAMETER_UNSAFE when a person would stand on both sides.
 */
export function splitOf(dataset: Splittable, seed: string, rule: SplitRule): Split {
  const split = splitRows(dataset, seed, rule);
  ensure(
    split.train.length > 0 && split.test.length > 0,
    'DATA_EMPTY',
    `split ${rule.rule} of ${dataset.definition.name} leaves one side empty; use another rule or more rows`,
  );
  refuseSharedPersons(dataset, split, `split ${rule.rule} of ${dataset.definition.name}`);
  return split;
}

/** People with rows on both sides of a split. */
export function sharedPersons(dataset: Pick<Splittable, 'rows'>, split: Split): Set<string> {
  const personOf = (row: number): string => dataset.rows[row]!.person;
  const training = new Set(split.train.map(personOf));
  return new Set(split.test.map(personOf).filter((person) => training.has(person)));
}

/** @throws PulsefoldError PARAMETER_UNSAFE naming how many people stand on both sides. */
export function refuseSharedPersons(dataset: Pick<Splittable, 'rows'>, split: Split, what: string): void {
  const shared = sharedPersons(dataset, split).size;
  ensure(
    shared === 0,
    'PARAMETER_UNSAFE',
    `${what} puts ${shared} ${shared === 1 ? 'person' : 'people'} on both sides, so that test figures would be ` +
      'about people the model has seen; use by-person',
  );
}

/** The split alone, leaks and all. Not for figures: tests of the refusals show with it what they prevent. */
export function splitRows(dataset: Splittable, seed: string, rule: SplitRule): Split {
  const { rows, definition } = dataset;
  const sideOf = (isTest: (row: Splittable['rows'][number]) => boolean): Split => {
    const split: { train: number[]; test: number[] } = { train: [], test: [] };
    rows.forEach((row, i) => {
      split[isTest(row) ? 'test' : 'train'].push(i);
    });
    return split;
  };
  switch (rule.rule) {
    case 'per-site':
      // Numbers to predict make no strata.
      return splitPerSite(
        dataset.labels instanceof Float32Array ? { rows, labels: new Uint8Array(rows.length) } : dataset,
        seed,
        rule.share,
      );
    case 'index-mod-5':
      return sideOf((row) => row.index % 5 === 4);
    case 'by-person': {
      const test = new Set(personFolds(dataset, seed, rule)[rule.fold]);
      return sideOf((row) => test.has(row.person));
    }
    case 'leave-site-out': {
      const sites = sitesOf(dataset);
      ensure(
        sites.length > 1 && sites.includes(rule.site),
        'CONFIG_INVALID',
        `${definition.name} has no site "${rule.site.slice(0, 40)}" that can be left out; sites: ${sites.slice(0, 20).join(', ')}`,
      );
      return sideOf((row) => row.site === rule.site);
    }
    case 'next-cycle': {
      ensure(
        definition.siteKind === 'cycle',
        'CONFIG_INVALID',
        `${definition.name} has no cycles in time; use another split`,
      );
      const last = sitesOf(dataset).at(-1);
      return sideOf((row) => row.site === last);
    }
    case 'random': {
      const order = shuffle([...rows.keys()], seededRandom(`split-random/${seed}`));
      const train = new Set(order.slice(0, Math.round((rule.share ?? trainShareDefault) * rows.length)));
      return {
        train: order.filter((i) => train.has(i)).sort(ascending),
        test: order.filter((i) => !train.has(i)).sort(ascending),
      };
    }
  }
}

/**
 * People in k folds. Shuffled by seed, then ordered by their mean label (rounded to tenths, so that the shuffle
 * decides among the alike), then dealt in turn: each fold gets its part of the people with and without the condition.
 */
function personFolds(
  { rows, labels, definition }: Splittable,
  seed: string,
  { fold, folds }: { readonly fold: number; readonly folds: number },
): string[][] {
  const totals = new Map<string, { rows: number; sum: number }>();
  rows.forEach(({ person }, i) => {
    const total = totals.get(person) ?? { rows: 0, sum: 0 };
    total.rows++;
    total.sum += labels[i]!;
    totals.set(person, total);
  });
  ensure(
    fold < folds && folds <= totals.size,
    'CONFIG_INVALID',
    `by-person: fold ${fold} of ${folds} is not possible with ${totals.size} people in ${definition.name}`,
  );
  const rank = (person: string): number => {
    const { rows: count, sum } = totals.get(person)!;
    return Math.round((10 * sum) / count);
  };
  const people = shuffle([...totals.keys()].sort(), seededRandom(`split-person/${seed}`));
  people.sort((a, b) => rank(b) - rank(a));
  return Array.from({ length: folds }, (_, k) => people.filter((_person, i) => i % folds === k));
}

const sitesOf = ({ rows }: Splittable): string[] => [...new Set(rows.map((row) => row.site))].sort();
const ascending = (a: number, b: number): number => a - b;
