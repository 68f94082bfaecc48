/**
 * Child process of the crash tests: writes until it is killed and prints what was acknowledged.
 *
 * Usage: node crash-writer.ts <mode> <database> <first id>. Modes: `store` queues pairs of rows; `inside`
 * kills itself between the two rows of a pair; `early` acknowledges before the commit and then kills
 * itself, the weakened variant that the test must catch; `ledger` makes concurrent reservations. One
 * acknowledged id per line on stdout.
 * Trusts: its arguments. May be called by: crash.test.ts only.
 */

import { writeSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { BudgetLedger } from '../ledger/budget-ledger.ts';
import { openStore } from './sqlite-store.ts';
import type { Database } from './store.ts';

export const PAIR_MIGRATIONS = [
  `CREATE TABLE firsts (id INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT;
   CREATE TABLE seconds (id INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT;`,
];
export const LEDGER_PLAN = 'a'.repeat(64);
/** Seven fit into the test's limit of 2.77: the budget runs out while both processes are writing. */
export const LEDGER_CHARGE = 0.37;
export const LEDGER_PEOPLE = Array.from({ length: 20 }, (_, i) => `person-${i}`);

const acknowledge = (line: number | string): void => {
  writeSync(1, `${line}\n`);
};
const die = (): never => {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('unreachable');
};

async function writePairs(path: string, firstId: number, mode: string): Promise<void> {
  const store = openStore(path);
  store.migrate('pairs', PAIR_MIGRATIONS);
  const value = new Uint8Array(500).fill(7);
  const pair = (id: number) => (database: Database) => {
    database.run('INSERT INTO firsts VALUES (?, ?)', id, value);
    if (mode === 'inside' && id === firstId + 20) die();
    database.run('INSERT INTO seconds VALUES (?, ?)', id, value);
    if (mode === 'early' && id === firstId + 20) {
      acknowledge(id);
      die();
    }
  };
  for (let next = firstId; ; next += 8) {
    const ids = Array.from({ length: 8 }, (_, i) => next + i);
    await Promise.all(ids.map((id) => store.enqueue('crash.pair', pair(id)).then(() => acknowledge(id))));
  }
}

async function reserveRounds(path: string, firstRound: number): Promise<void> {
  const store = openStore(path);
  const ledger = new BudgetLedger(store);
  for (let next = firstRound; ; next += 4) {
    const rounds = Array.from({ length: 4 }, (_, i) => next + i);
    await Promise.all(
      rounds.map(async (round) => {
        const key = { planHash: LEDGER_PLAN, round };
        const { reserved } = await store.enqueue('crash.reserve', (database) =>
          ledger.within(database).reserve(key, LEDGER_PEOPLE, LEDGER_CHARGE),
        );
        for (const pseudonym of reserved) acknowledge(`${round} ${pseudonym}`);
        acknowledge(`${round} done`);
      }),
    );
  }
}

if (import.meta.main) {
  // A process that is killed leaves nothing compiled to the next one.
  flushCompileCache();
  const [mode, path, first] = process.argv.slice(2);
  if (mode === 'ledger') await reserveRounds(path!, Number(first));
  else await writePairs(path!, Number(first), mode!);
}
