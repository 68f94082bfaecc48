import { expect, it } from 'vitest';
import { type LedgerBenchRow, runLedgerBench } from './ledger-bench.ts';

it('measures decisions, durable reservations and replay, and checks what it measures', async () => {
  const rows: LedgerBenchRow[] = [];
  const sizes = { people: 2000, historySpends: 50, reservations: 1000, spends: 3000 };
  await runLedgerBench({ ...sizes, onRow: (row) => rows.push(row) });
  expect(rows.map(({ measure }) => measure)).toEqual([
    'open',
    'check',
    'check',
    'check',
    'reserve',
    'replay',
  ]);
  expect(rows.at(-2)).toMatchObject({ people: 2000, reservations: 1000 });
  expect(rows.at(-1)).toMatchObject({ spends: 4050, equals_tables: true });
  for (const row of rows)
    for (const [name, value] of Object.entries(row))
      if (/_(us|s|ms|mb)$/.test(name)) expect(value, name).toBeGreaterThanOrEqual(0);
});
