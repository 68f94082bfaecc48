/**
 * Versions of the ledger's tables. A migration that has run anywhere is never edited; a new one follows.
 *
 * Trusts: nothing. May be called by: coordinator/ledger.
 */

/** Makes a table append-only: an edited history would still look like one. */
const appendOnly = (table: string): string =>
  ['UPDATE', 'DELETE']
    .map(
      (verb) => `CREATE TRIGGER ${table}_no_${verb.toLowerCase()} BEFORE ${verb} ON ${table}
     BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;`,
    )
    .join('\n   ');

export const LEDGER_MIGRATIONS = [
  `CREATE TABLE budget_filters (
     pseudonym TEXT PRIMARY KEY,
     unit TEXT NOT NULL CHECK (unit IN ('person', 'record')),
     epsilon TEXT NOT NULL,
     delta TEXT NOT NULL,
     filter_order TEXT NOT NULL,
     limit_steps INTEGER NOT NULL,
     spent_steps INTEGER NOT NULL CHECK (spent_steps >= 0),
     reserved_steps INTEGER NOT NULL CHECK (reserved_steps >= 0),
     CHECK (spent_steps + reserved_steps <= limit_steps)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE budget_rounds (
     plan_hash TEXT NOT NULL,
     round INTEGER NOT NULL,
     charge_steps INTEGER NOT NULL,
     state TEXT NOT NULL CHECK (state IN ('reserved', 'settled', 'aborted')),
     statement_hash TEXT,
     PRIMARY KEY (plan_hash, round)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE budget_reservations (
     plan_hash TEXT NOT NULL,
     round INTEGER NOT NULL,
     pseudonym TEXT NOT NULL REFERENCES budget_filters (pseudonym),
     state TEXT NOT NULL CHECK (state IN ('reserved', 'charged', 'released')),
     PRIMARY KEY (plan_hash, round, pseudonym),
     FOREIGN KEY (plan_hash, round) REFERENCES budget_rounds (plan_hash, round)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE budget_events (id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL) STRICT;
   CREATE TRIGGER budget_events_no_update BEFORE UPDATE ON budget_events
     BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
   CREATE TRIGGER budget_events_no_delete BEFORE DELETE ON budget_events
     BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;`,

  // Narrow rows under integer keys, quotas, and a journal whose commonest entries are two numbers. What is reserved
  // stands in the open holds only: they are few and lie together, where a column of the balances would make every
  // reservation write a page of its own. A decision needs the index of pseudonyms and a balance, no wider row.
  `CREATE TABLE budget_terms (
     id INTEGER PRIMARY KEY,
     unit TEXT NOT NULL CHECK (unit IN ('person', 'record')),
     epsilon TEXT NOT NULL,
     delta TEXT NOT NULL,
     filter_order TEXT NOT NULL,
     limit_steps INTEGER NOT NULL,
     UNIQUE (unit, epsilon, delta, filter_order)
   ) STRICT;
   CREATE TABLE budget_accounts (
     id INTEGER PRIMARY KEY,
     pseudonym TEXT NOT NULL UNIQUE
   ) STRICT;
   CREATE TABLE budget_balances (
     id INTEGER PRIMARY KEY REFERENCES budget_accounts (id),
     terms_id INTEGER NOT NULL REFERENCES budget_terms (id),
     limit_steps INTEGER NOT NULL,
     spent_steps INTEGER NOT NULL CHECK (spent_steps BETWEEN 0 AND limit_steps)
   ) STRICT;
   CREATE TABLE budget_quotas (
     account_id INTEGER NOT NULL REFERENCES budget_accounts (id),
     name TEXT NOT NULL,
     limit_steps INTEGER NOT NULL,
     spent_steps INTEGER NOT NULL CHECK (spent_steps BETWEEN 0 AND limit_steps),
     PRIMARY KEY (account_id, name)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE budget_charges (
     id INTEGER PRIMARY KEY,
     plan_hash TEXT NOT NULL,
     round INTEGER NOT NULL,
     charge_steps INTEGER NOT NULL,
     quotas TEXT NOT NULL,
     state TEXT NOT NULL CHECK (state IN ('reserved', 'settled', 'aborted')),
     statement_hash TEXT,
     UNIQUE (plan_hash, round)
   ) STRICT;
   CREATE TABLE budget_holds (
     round_id INTEGER NOT NULL REFERENCES budget_charges (id),
     account_id INTEGER NOT NULL REFERENCES budget_balances (id),
     state TEXT NOT NULL CHECK (state IN ('reserved', 'charged', 'released')),
     PRIMARY KEY (round_id, account_id)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX budget_holds_open ON budget_holds (account_id) WHERE state = 'reserved';
   CREATE TABLE budget_withdrawals (
     account_id INTEGER NOT NULL REFERENCES budget_accounts (id),
     scope TEXT NOT NULL,
     PRIMARY KEY (account_id, scope)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE budget_journal (
     id INTEGER PRIMARY KEY,
     round_id INTEGER REFERENCES budget_charges (id),
     account_id INTEGER REFERENCES budget_balances (id),
     event TEXT,
     CHECK ((event IS NULL) = (account_id IS NOT NULL))
   ) STRICT;
   INSERT INTO budget_terms (unit, epsilon, delta, filter_order, limit_steps)
     SELECT DISTINCT unit, epsilon, delta, filter_order, limit_steps FROM budget_filters;
   INSERT INTO budget_accounts (pseudonym) SELECT pseudonym FROM budget_filters;
   INSERT INTO budget_balances
     SELECT a.id, t.id, f.limit_steps, f.spent_steps
     FROM budget_filters f JOIN budget_accounts a USING (pseudonym)
       JOIN budget_terms t USING (unit, epsilon, delta, filter_order);
   INSERT INTO budget_charges (plan_hash, round, charge_steps, quotas, state, statement_hash)
     SELECT plan_hash, round, charge_steps, '[]', state, statement_hash FROM budget_rounds;
   INSERT INTO budget_holds
     SELECT c.id, a.id, r.state FROM budget_reservations r
     JOIN budget_charges c USING (plan_hash, round) JOIN budget_accounts a USING (pseudonym);
   INSERT INTO budget_journal (id, event) SELECT id, event FROM budget_events;
   DROP TABLE budget_reservations;
   DROP TABLE budget_rounds;
   DROP TABLE budget_filters;
   DROP TABLE budget_events;
   ${appendOnly('budget_journal')}
   ${appendOnly('budget_accounts')}
   ${appendOnly('budget_terms')}
   ${appendOnly('budget_withdrawals')}
   CREATE TRIGGER budget_holds_fit AFTER INSERT ON budget_holds
     WHEN (SELECT b.spent_steps + (
         SELECT SUM(c.charge_steps) FROM budget_holds h JOIN budget_charges c ON c.id = h.round_id
         WHERE h.account_id = NEW.account_id AND h.state = 'reserved'
       ) > b.limit_steps FROM budget_balances b WHERE b.id = NEW.account_id)
     BEGIN SELECT RAISE(ABORT, 'a reservation passes its budget'); END;
   CREATE TRIGGER budget_holds_end BEFORE UPDATE ON budget_holds WHEN OLD.state <> 'reserved'
     BEGIN SELECT RAISE(ABORT, 'a reservation ends once'); END;
   CREATE TRIGGER budget_holds_no_delete BEFORE DELETE ON budget_holds
     BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
   CREATE TRIGGER budget_charges_no_update
     BEFORE UPDATE OF id, plan_hash, round, charge_steps, quotas ON budget_charges
     BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
   CREATE TRIGGER budget_charges_no_delete BEFORE DELETE ON budget_charges
     BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
   CREATE TRIGGER budget_quotas_no_update BEFORE UPDATE OF account_id, name, limit_steps ON budget_quotas
     BEGIN SELECT RAISE(ABORT, 'a quota cannot be changed'); END;
   CREATE TRIGGER budget_balances_no_update BEFORE UPDATE OF id, terms_id, limit_steps ON budget_balances
     BEGIN SELECT RAISE(ABORT, 'a budget cannot be changed'); END;`,

  // A reservation is in the journal because it is there, however it was made: one by one or a cohort in one statement.
  `CREATE TRIGGER budget_holds_journal AFTER INSERT ON budget_holds
     BEGIN INSERT INTO budget_journal (round_id, account_id) VALUES (NEW.round_id, NEW.account_id); END;`,
];
