/**
 * Deterministic train/test splits from a public seed.
 *
 * For: experiments/. Rows of one person never stand on both sides (all data sets here have one row per
 * person, which their loaders check). Pure.
 */
import { ensure } from '../../crypto/error.ts';
import { seededRandom, shuffle } from '../../crypto/random.ts';

export interface Split {
  /** Row indices, ascending. */
  readonly train: readonly number[];
  readonly test: readonly number[];
}

/** Share of training rows per site and label in FLamby's protocol. */
export const trainShareDefault = 0.66;

interface Stratified {
  readonly rows: readonly { readonly site: string }[];
  readonly labels: ArrayLike<number>;
}

/**
 * Splits within each (site, label) stratum: round(share·n) rows train, the rest test. The strata are visited
 * in sorted order, so the split depends on nothing but rows, seed and share.
 */
export function splitPerSite(data: Stratified, seed: string, share: number = trainShareDefault): Split {
  ensure(share > 0 && share < 1, 'FIELD_OUT_OF_RANGE', 'the training share must be between 0 and 1');
  ensure(data.rows.length === data.labels.length, 'VECTOR_LENGTH_MISMATCH', 'one label per row is needed');
  const strata = new Map<string, number[]>();
  data.rows.forEach((row, i) => {
    const key = JSON.stringify([row.site, data.labels[i]]);
    const stratum = strata.get(key);
    if (stratum) stratum.push(i);
    else strata.set(key, [i]);
  });
  const train: number[] = [];
  const test: number[] = [];
  for (const key of [...strata.keys()].sort()) {
    const stratum = shuffle(strata.get(key)!, seededRandom(`split/${seed}/${key}`));
    const trainRows = Math.round(share * stratum.length);
    train.push(...stratum.slice(0, trainRows));
    test.push(...stratum.slice(trainRows));
  }
  return { train: train.sort(ascending), test: test.sort(ascending) };
}

/** Row indices by site, in the order of `indices`. */
export function bySite(
  data: { readonly rows: readonly { readonly site: string }[] },
  indices: readonly number[],
): Map<string, number[]> {
  const sites = new Map<string, number[]>();
  for (const index of indices) {
    const { site } = data.rows[index]!;
    const list = sites.get(site);
    if (list) list.push(index);
    else sites.set(site, [index]);
  }
  return new Map([...sites].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * One-person clients: the test set is every row whose index in the source file leaves 4 modulo 5 (the same
 * for every seed, so runs compare); `clients` people are drawn from the rest by seed, without replacement.
 */
export function splitPersons(
  data: { readonly rows: readonly { readonly index: number }[] },
  seed: string,
  clients: number,
): { readonly clients: readonly number[]; readonly test: readonly number[] } {
  const test: number[] = [];
  const rest: number[] = [];
  data.rows.forEach((row, i) => {
    (row.index % 5 === 4 ? test : rest).push(i);
  });
  ensure(
    Number.isInteger(clients) && clients >= 1 && clients <= rest.length,
    'FIELD_OUT_OF_RANGE',
    `between 1 and ${rest.length} one-person clients can be drawn`,
  );
  return { clients: shuffle(rest, seededRandom(`persons/${seed}`)).slice(0, clients), test };
}

const ascending = (a: number, b: number): number => a - b;
