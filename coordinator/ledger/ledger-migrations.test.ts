import { expect, it } from 'vitest';
import { canonicalJson } from '../../crypto/log/canonical-json.ts';
import { openMemoryStore } from '../storage/sqlite-store.ts';
import { BudgetLedger, type LedgerEvent } from './budget-ledger.ts';
import { limitStepsOf } from './ledger-amounts.ts';
import { LEDGER_MIGRATIONS } from './ledger-migrations.ts';

it('a ledger of version 1 keeps its balances, its history and its open rounds', () => {
  const store = openMemoryStore();
  store.migrate('ledger', LEDGER_MIGRATIONS.slice(0, 1));
  const [plan, certificate, one] = ['a'.repeat(64), 'c'.repeat(64), 2 ** 40];
  const limitSteps = limitStepsOf('3', '0.00001', 32);
  const terms = { unit: 'person', epsilon: '3', delta: '0.00001', order: '32', limitSteps } as const;
  const reserve = { kind: 'reserve', planHash: plan, chargeSteps: one, mechanism: { type: 'test' } } as const;
  const events: LedgerEvent[] = [
    { kind: 'open', pseudonym: 'p1', ...terms },
    { kind: 'open', pseudonym: 'p2', ...terms },
    { ...reserve, round: 1, pseudonyms: ['p1', 'p2'] },
    {
      kind: 'settle',
      planHash: plan,
      round: 1,
      certificateHash: certificate,
      chargeSteps: one,
      charged: ['p1'],
      released: ['p2'],
    },
    { ...reserve, round: 2, pseudonyms: ['p1'] },
  ];
  store.transaction('test', (db) => {
    const filter = 'INSERT INTO budget_filters VALUES (?, ?, ?, ?, ?, ?, ?, ?)';
    db.run(filter, 'p1', 'person', '3', '0.00001', '32', limitSteps, one, one);
    db.run(filter, 'p2', 'person', '3', '0.00001', '32', limitSteps, 0, 0);
    db.run('INSERT INTO budget_rounds VALUES (?, 1, ?, ?, ?)', plan, one, 'settled', certificate);
    db.run("INSERT INTO budget_rounds VALUES (?, 2, ?, 'reserved', NULL)", plan, one);
    const hold = 'INSERT INTO budget_reservations VALUES (?, ?, ?, ?)';
    db.run(hold, plan, 1, 'p1', 'charged');
    db.run(hold, plan, 1, 'p2', 'released');
    db.run(hold, plan, 2, 'p1', 'reserved');
    for (const event of events) db.run('INSERT INTO budget_events (event) VALUES (?)', canonicalJson(event));
  });
  const ledger = new BudgetLedger(store);
  expect(ledger.events()).toEqual(events);
  expect(ledger.balance('p1')).toMatchObject({ spent: 1, reserved: 1, epsilonAllowed: 3 });
  ledger.verify();
  ledger.openFilter({ pseudonym: 'p1', unit: 'person', epsilon: 3, delta: 1e-5, order: 32 });
  expect(ledger.reserve({ planHash: plan, round: 2 }, ['p1', 'p2'], 1).reserved).toEqual(['p1', 'p2']);
  ledger.settle({ planHash: plan, round: 2 }, { hash: certificate, included: ['p1'] });
  expect(ledger.balance('p1')).toMatchObject({ spent: 2, reserved: 0 });
  ledger.verify();
  store.close();
});
