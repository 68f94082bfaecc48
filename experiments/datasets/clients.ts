/**
 * Deals rows to clients: hospitals, people, single rows, or Dirichlet shards.
 *
 * For: experiments/ (the simulator and runs ask who holds what). Trusts: `person` of the rows, which the loaders check.
 * Pure. A rule that would put one person on two clients is refused: the person's budget would be spent twice.
 */
import { z } from 'zod';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import type { RandomSource } from '../../crypto/random.ts';
import { seededRandom, shuffle, uniform } from '../../crypto/random.ts';
import type { ClientRule, DatasetDefinition, DatasetRow } from './types.ts';

export interface DatasetClient {
  readonly name: string;
  /** Row indices, ascending. */
  readonly rows: readonly number[];
}

const clientRule = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('site') }),
  z.strictObject({ kind: z.literal('person') }),
  z.strictObject({ kind: z.literal('row') }),
  z.strictObject({
    kind: z.literal('dirichlet'),
    alpha: z.number().min(0.01).max(1000),
    clients: z.int().min(2).max(100_000),
    seed: z.string().min(1).max(64),
  }),
]);

/** A rule from a file: the object, or its kind alone. @throws PulsefoldError CONFIG_INVALID. */
export function parseClientRule(value: unknown): ClientRule {
  const parsed = clientRule.safeParse(typeof value === 'string' ? { kind: value } : value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const place = issue?.path.join('.');
  throw new PulsefoldError(
    'CONFIG_INVALID',
    `clients${place ? `.${place}` : ''}: ${issue?.message ?? 'invalid'}; known: site, person, row, dirichlet`,
  );
}

export interface Dealable {
  readonly definition: Pick<DatasetDefinition, 'name'>;
  readonly rows: readonly Pick<DatasetRow, 'site' | 'person'>[];
  readonly labels: ArrayLike<number>;
}

/**
 * The clients that hold `rows` (indices into the data set), in order of name (of row for 'row').
 * @throws PulsefoldError PARAMETER_UNSAFE when a person would be on two clients; CONFIG_INVALID, DATA_EMPTY.
 */
export function clientsOf(dataset: Dealable, by: ClientRule, rows: readonly number[]): DatasetClient[] {
  ensure(rows.length > 0, 'DATA_EMPTY', 'there are no rows to deal to clients');
  const clients = dealRows(dataset, by, rows);
  const holder = new Map<string, string>();
  let shared = 0;
  for (const client of clients)
    for (const person of new Set(client.rows.map((row) => dataset.rows[row]!.person))) {
      if (holder.has(person)) shared++;
      holder.set(person, client.name);
    }
  ensure(
    shared === 0,
    'PARAMETER_UNSAFE',
    `clients by ${by.kind}: ${shared} people of ${dataset.definition.name} would be on more than one client, and ` +
      'their privacy budget would be spent on each; deal by person',
  );
  return clients;
}

function dealRows(dataset: Dealable, by: ClientRule, rows: readonly number[]): DatasetClient[] {
  switch (by.kind) {
    case 'site':
      return grouped(rows, (row) => dataset.rows[row]!.site);
    case 'person':
      return grouped(rows, (row) => dataset.rows[row]!.person);
    case 'row':
      return rows.map((row) => ({ name: `row-${row}`, rows: [row] }));
    case 'dirichlet':
      return dealDirichlet(dataset, by, rows);
  }
}

function grouped(rows: readonly number[], nameOf: (row: number) => string): DatasetClient[] {
  const groups = new Map<string, number[]>();
  for (const row of rows) {
    const name = nameOf(row);
    const group = groups.get(name);
    if (group) group.push(row);
    else groups.set(name, [row]);
  }
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, list]) => ({ name, rows: list.sort((a, b) => a - b) }));
}

const ATTEMPTS = 100;

/**
 * Yurochkin et al. 1905.12022: for each class, shares over the clients are drawn from Dirichlet(alpha); small alpha
 * makes clients unlike. Drawn again until every client has a row.
 */
function dealDirichlet(
  dataset: Dealable,
  by: Extract<ClientRule, { kind: 'dirichlet' }>,
  rows: readonly number[],
): DatasetClient[] {
  const classes = new Map<number, number[]>();
  for (const row of rows) {
    const label = dataset.labels[row]!;
    ensure(
      Number.isInteger(label) && label >= 0 && label < 64,
      'CONFIG_INVALID',
      `clients by dirichlet need classes; ${dataset.definition.name} has a number to predict, deal by person`,
    );
    const list = classes.get(label);
    if (list) list.push(row);
    else classes.set(label, [row]);
  }
  ensure(
    rows.length >= 2 * by.clients,
    'CONFIG_INVALID',
    `clients by dirichlet: ${rows.length} rows are too few for ${by.clients} clients; at least two rows each`,
  );
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const shards: number[][] = Array.from({ length: by.clients }, () => []);
    for (const label of [...classes.keys()].sort((a, b) => a - b)) {
      const random = seededRandom(`dirichlet/${by.seed}/${attempt}/${label}`);
      dealClass(shuffle([...classes.get(label)!], random), dirichlet(by.alpha, by.clients, random), shards);
    }
    if (shards.every((shard) => shard.length > 0)) {
      const digits = String(by.clients).length;
      return shards.map((shard, i) => ({
        name: `client-${String(i + 1).padStart(digits, '0')}`,
        rows: shard.sort((a, b) => a - b),
      }));
    }
  }
  throw new PulsefoldError(
    'CONFIG_INVALID',
    `clients by dirichlet: with alpha ${by.alpha}, ${by.clients} clients and ${rows.length} rows some client stays ` +
      'without a row; take a larger alpha or fewer clients',
  );
}

function dealClass(rows: readonly number[], shares: Float64Array, shards: number[][]): void {
  let from = 0;
  let cumulative = 0;
  shares.forEach((part, client) => {
    cumulative += part;
    const to = client === shares.length - 1 ? rows.length : Math.round(cumulative * rows.length);
    for (; from < to; from++) shards[client]!.push(rows[from]!);
  });
}

function dirichlet(alpha: number, length: number, random: RandomSource): Float64Array {
  const logs = Float64Array.from({ length }, () => logGamma(alpha, random));
  const largest = logs.reduce((a, b) => Math.max(a, b));
  const draws = logs.map((log) => Math.exp(log - largest));
  const sum = draws.reduce((a, b) => a + b);
  return draws.map((draw) => draw / sum);
}

/**
 * Logarithm of a Gamma(alpha, 1) draw: Marsaglia & Tsang, ACM TOMS 26:363 (2000); below 1 by
 * Gamma(alpha + 1)·U^(1/alpha), in logarithms, because the draw itself underflows for small alpha.
 */
function logGamma(alpha: number, random: RandomSource): number {
  if (alpha < 1) return logGamma(alpha + 1, random) + Math.log(1 - uniform(random)) / alpha;
  const d = alpha - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const u1 = 1 - uniform(random);
    const normal = Math.sqrt(-2 * Math.log(u1)) * Math.cos(2 * Math.PI * uniform(random));
    const v = (1 + c * normal) ** 3;
    if (v <= 0) continue;
    if (Math.log(1 - uniform(random)) < 0.5 * normal * normal + d - d * v + d * Math.log(v))
      return Math.log(d) + Math.log(v);
  }
}
