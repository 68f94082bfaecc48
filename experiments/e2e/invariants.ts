/**
 * What must hold after any crash: opened sums equal what the certified clients sealed, every acknowledged upload has
 * a fate, and the ledger equals the certificates.
 *
 * For: demo --kill-coordinator, e2e:phones. Reads the coordinator's database, which only an experiment may do.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type LedgerEvent, replay } from '../../coordinator/ledger/ledger-events.ts';
import { storedCohort } from '../../coordinator/rounds/repository.ts';
import { centredResidue } from '../../crypto/dp/digits.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import type { RunResult } from '../demo/run-once.ts';
import type { Observation } from './observed-client-host.ts';

export interface InvariantReport {
  readonly roundsChecked: number;
  readonly uploadsChecked: number;
  readonly late: number;
}

export interface InvariantInput {
  /** Deployment directory; observations lie in `observed/`. */
  readonly directory: string;
  readonly parsed: ParsedPlan;
  readonly runDirectory: string;
  readonly result: RunResult;
}

interface RoundExport {
  readonly round: number;
  readonly phase: string;
  readonly cohortCount: number;
  readonly sum: { readonly digits: readonly number[] } | null;
}

/** Throws INTERNAL naming the invariant that does not hold. */
export function checkCrashInvariants(input: InvariantInput): InvariantReport {
  const observed = readObservations(join(input.directory, 'observed'));
  const database = new DatabaseSync(join(input.directory, 'coordinator', 'coordinator.db'), {
    readOnly: true,
  });
  try {
    const rounds = readRounds(input.runDirectory);
    let uploadsChecked = 0;
    for (const round of rounds.filter((r) => r.phase === 'released')) {
      const cohort = certifiedDigests(database, input.parsed.hashHex, round.round);
      requireThat(
        cohort.length === round.cohortCount,
        `round ${round.round}: ${cohort.length} entries, certificate says ${round.cohortCount}`,
      );
      // A noised sum is opened modulo the plaintext modulus; one without noise is exact.
      checkSum(round, cohort, observed, input.parsed.plan.privacy ? centredResidue : (value) => value);
      uploadsChecked += cohort.length;
    }
    const late = checkFates(input.result, database, input.parsed.hashHex);
    checkLedger(input, rounds, database);
    return { roundsChecked: rounds.length, uploadsChecked, late };
  } finally {
    database.close();
  }
}

function requireThat(condition: boolean, message: string): asserts condition {
  if (!condition) throw new PulsefoldError('INTERNAL', `invariant broken: ${message}`);
}

function readObservations(directory: string): Map<string, readonly number[]> {
  const observed = new Map<string, readonly number[]>();
  for (const file of readdirSync(directory))
    for (const line of readFileSync(join(directory, file), 'utf8').split('\n').filter(Boolean)) {
      const { digests, digits } = JSON.parse(line) as Observation;
      for (const digest of digests) observed.set(digest, digits);
    }
  return observed;
}

const readRounds = (runDirectory: string): RoundExport[] =>
  readdirSync(join(runDirectory, 'rounds'))
    .map((file) => JSON.parse(readFileSync(join(runDirectory, 'rounds', file), 'utf8')) as RoundExport)
    .sort((a, b) => a.round - b.round);

function certifiedDigests(database: DatabaseSync, plan: string, round: number): string[] {
  const row = database.prepare('SELECT state FROM rounds WHERE plan = ? AND round = ?').get(plan, round);
  const cohort = storedCohort(String(row?.state)) ?? [];
  const find = database.prepare('SELECT digest FROM uploads WHERE plan = ? AND round = ? AND device = ?');
  return cohort.map((device) => String(find.get(plan, round, device)?.digest));
}

function checkSum(
  round: RoundExport,
  cohort: readonly string[],
  observed: ReadonlyMap<string, readonly number[]>,
  opened: (sum: number) => number,
): void {
  const { digits } = round.sum!;
  const expected = new Array<number>(digits.length).fill(0);
  for (const digest of cohort) {
    const sealed = observed.get(digest);
    requireThat(
      sealed !== undefined,
      `round ${round.round}: certified digest ${digest.slice(0, 12)} was never sealed by a client`,
    );
    for (let i = 0; i < expected.length; i++) expected[i]! += sealed[i]!;
  }
  const wrong = expected.findIndex((value, i) => opened(value) !== digits[i]);
  requireThat(
    wrong < 0,
    `round ${round.round}: opened digit ${wrong} is ${digits[wrong]}, the clients sealed ${expected[wrong]}`,
  );
}

/** Every acknowledged upload is certified, signed late, signed rejected, or in a quorum-signed abort. */
function checkFates(result: RunResult, database: DatabaseSync, plan: string): number {
  let late = 0;
  for (const { name, rounds } of result.summaries)
    for (const round of rounds) {
      if (round.outcome === 'late') late++;
      requireThat(
        round.outcome !== 'undecided',
        `${name}: the fate of its upload in round ${round.round} is unknown`,
      );
    }
  const row = database
    .prepare(
      `SELECT COUNT(*) AS count FROM uploads u JOIN rounds r ON r.plan = u.plan AND r.round = u.round
       WHERE u.plan = ? AND u.acknowledged = 1 AND r.phase NOT IN ('released', 'unopened', 'aborted')`,
    )
    .get(plan);
  requireThat(Number(row?.count) === 0, `${row?.count} acknowledged uploads lie in rounds that never ended`);
  return late;
}

/** The ledger's balances, its replayed events and the certificates' cohorts agree. */
function checkLedger(input: InvariantInput, rounds: readonly RoundExport[], database: DatabaseSync): void {
  const { events } = JSON.parse(readFileSync(join(input.runDirectory, 'ledger.json'), 'utf8')) as {
    events: LedgerEvent[];
  };
  replay(events);
  if (!input.parsed.plan.privacy) return;
  for (const round of rounds.filter((r) => r.phase === 'released')) {
    const settled = events.filter(
      (event) =>
        event.kind === 'settle' && event.planHash === input.parsed.hashHex && event.round === round.round,
    );
    requireThat(settled.length === 1, `round ${round.round} was settled ${settled.length} times`);
    const charged = (settled[0] as Extract<LedgerEvent, { kind: 'settle' }>).charged;
    requireThat(
      charged.length === round.cohortCount,
      `round ${round.round}: ${charged.length} charged, ${round.cohortCount} certified`,
    );
    const state = database
      .prepare('SELECT state FROM rounds WHERE plan = ? AND round = ?')
      .get(input.parsed.hashHex, round.round);
    const cohort = storedCohort(String(state?.state)) ?? [];
    const find = database.prepare(
      'SELECT pseudonym FROM invitations WHERE plan = ? AND round = ? AND device = ?',
    );
    const names = cohort
      .map((device) => String(find.get(input.parsed.hashHex, round.round, device)?.pseudonym))
      .sort();
    requireThat(
      JSON.stringify([...charged].sort()) === JSON.stringify(names),
      `round ${round.round}: other people were charged than certified`,
    );
  }
}
