import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createFilter } from '../../crypto/dp/filter.ts';
import { openMemoryStore, type SqliteStore } from '../storage/sqlite-store.ts';
import { BudgetLedger, type LedgerEvent, replay } from './budget-ledger.ts';
import { decimalText } from './ledger-amounts.ts';

const hash = (digit: string): string => digit.repeat(64);
const PLAN = hash('a');
const round = (number: number) => ({ planHash: PLAN, round: number });
const coded = (code: string) => expect.objectContaining({ code });
/** At order 32 and δ = 1e-5, ε = 3 leaves RDP 2.77216…: row 3 of the vectors shifted by 3 − 1.32783806176. */
const TERMS = { unit: 'person', epsilon: 3, delta: 1e-5, order: 32 } as const;
const LIMIT = 1.1 + 3 - 1.32783806176;

let store: SqliteStore;
let ledger: BudgetLedger;
beforeEach(() => {
  store = openMemoryStore();
  ledger = new BudgetLedger(store);
  for (const pseudonym of ['p1', 'p2', 'p3']) ledger.openFilter({ pseudonym, ...TERMS });
});
afterEach(() => {
  ledger.verify();
  store.close();
});

describe('reserve, settle, release', () => {
  it('charges the certified, frees the rest, and repeats change nothing', () => {
    expect(ledger.reserve(round(1), ['p1', 'p2', 'p2'], 1)).toEqual({ reserved: ['p1', 'p2'], refused: [] });
    expect(ledger.balance('p1')).toMatchObject({
      spent: 0,
      reserved: 1,
      epsilonSpent: 0,
      epsilonAllowed: 3,
      delta: 1e-5,
    });
    expect(ledger.reserve(round(1), ['p2', 'p3'], 1).reserved).toEqual(['p2', 'p3']);
    const certificate = { hash: hash('c'), included: ['p1', 'p3'] };
    const settled = { charged: ['p1', 'p3'], released: ['p2'] };
    expect(ledger.settle(round(1), certificate)).toEqual(settled);
    const before = ledger.events();
    expect(ledger.settle(round(1), certificate)).toEqual(settled);
    expect(ledger.events()).toEqual(before);
    expect(ledger.balance('p1')).toMatchObject({ spent: 1, reserved: 0 });
    expect(ledger.balance('p2')).toMatchObject({ spent: 0, reserved: 0 });
    expect(ledger.balance('p1').epsilonSpent).toBeCloseTo(1.32783806176 - 0.1, 9);
    expect(ledger.balance('p1').limit).toBeCloseTo(LIMIT, 9);
  });

  it('refuses in words what would overspend, while others go on', () => {
    ledger.reserve(round(1), ['p1'], 2);
    ledger.settle(round(1), { hash: hash('1'), included: ['p1'] });
    const result = ledger.reserve(round(2), ['nobody', 'p1', 'p2'], 1);
    expect(result.reserved).toEqual(['p2']);
    expect(result.refused.map((refusal) => refusal.pseudonym)).toEqual(['nobody', 'p1']);
    expect(result.refused[0]).toMatchObject({ epsilonSpent: 0, epsilonAllowed: 0 });
    expect(result.refused[1]!.reason).toBe(
      'The privacy budget is ε = 3 (δ = 0.00001). ε = 2.228 is spent or promised; this round would bring it to ' +
        'ε = 3.228, so this participant sits it out.',
    );
    expect(result.refused[1]!.epsilonSpent).toBeCloseTo(2.22783806176, 9);
    expect(ledger.balance('p1')).toMatchObject({ spent: 2, reserved: 0 });
  });

  it('spends up to the limit and not one step past it', () => {
    const { limit } = ledger.balance('p1');
    const step = 2 ** -40;
    expect(ledger.reserve(round(1), ['p1'], limit + step).refused).toHaveLength(1);
    expect(ledger.reserve(round(2), ['p1'], limit).reserved).toEqual(['p1']);
    expect(ledger.reserve(round(3), ['p1'], 1e-30).refused).toHaveLength(1);
  });

  it('an abort frees the round once, and a closed round stays closed', () => {
    ledger.reserve(round(1), ['p1', 'p2'], 1);
    const freed = { charged: [], released: ['p1', 'p2'] };
    expect(ledger.releaseByAbort(round(1), { hash: hash('b') })).toEqual(freed);
    expect(ledger.releaseByAbort(round(1), { hash: hash('b') })).toEqual(freed);
    expect(ledger.balance('p1')).toMatchObject({ spent: 0, reserved: 0 });
    expect(() => ledger.releaseByAbort(round(1), { hash: hash('d') })).toThrow(coded('STATEMENT_CONFLICT'));
    expect(() => ledger.settle(round(1), { hash: hash('b'), included: [] })).toThrow(
      coded('STATEMENT_CONFLICT'),
    );
    expect(() => ledger.reserve(round(1), ['p1'], 1)).toThrow(coded('ROUND_CLOSED'));
    ledger.releaseByAbort(round(9), { hash: hash('e') });
    expect(() => ledger.reserve(round(9), ['p1'], 1)).toThrow(coded('ROUND_CLOSED'));
  });

  it('a second certificate, an uninvited participant and a dearer charge change nothing', () => {
    ledger.reserve(round(1), ['p1'], 1);
    const before = ledger.events();
    expect(() => ledger.settle(round(1), { hash: hash('c'), included: ['p1', 'p2'] })).toThrow(
      coded('STATEMENT_CONFLICT'),
    );
    expect(() => ledger.settle(round(1), { hash: hash('c'), included: ['p1'] }, 1.5)).toThrow(
      coded('BUDGET_EXCEEDED'),
    );
    expect(ledger.events()).toEqual(before);
    expect(ledger.balance('p1')).toMatchObject({ spent: 0, reserved: 1 });
    ledger.settle(round(1), { hash: hash('c'), included: ['p1'] }, '1/2');
    expect(ledger.balance('p1')).toMatchObject({ spent: 0.5, reserved: 0 });
    expect(() => ledger.settle(round(1), { hash: hash('d'), included: ['p1'] })).toThrow(
      coded('STATEMENT_CONFLICT'),
    );
  });

  it('keeps one charge per round and one order per filter', () => {
    ledger.reserve(round(1), ['p1'], '0.25', { order: 32, mechanism: { type: 'test', variance: '7/3' } });
    expect(() => ledger.reserve(round(1), ['p2'], '0.26')).toThrow(coded('STATEMENT_CONFLICT'));
    expect(ledger.reserve(round(2), ['p1'], 0.1, { order: 'zcdp' }).refused[0]!.reason).toMatch(
      /counts at order 32/,
    );
    expect(ledger.events().filter((event) => event.kind === 'reserve')).toMatchObject([
      { round: 1, mechanism: { type: 'test', variance: '7/3' }, pseudonyms: [] },
      { round: 1, mechanism: {}, pseudonyms: ['p1'] },
      { round: 2, mechanism: {}, pseudonyms: [] },
    ]);
  });

  it('opens a filter once; its terms never change', () => {
    ledger.openFilter({ pseudonym: 'p1', ...TERMS, delta: '0.00001' });
    for (const change of [
      { epsilon: 4 },
      { delta: 1e-4 },
      { order: 33 },
      { order: 'zcdp' as const },
      { unit: 'record' as const },
    ])
      expect(() => ledger.openFilter({ pseudonym: 'p1', ...TERMS, ...change })).toThrow(
        coded('STATEMENT_CONFLICT'),
      );
    expect(() => ledger.openFilter({ pseudonym: 'p9', ...TERMS, order: 2 })).toThrow(
      coded('PARAMETER_UNSAFE'),
    );
  });

  it('counts zCDP with the tight conversion', () => {
    ledger.openFilter({
      pseudonym: 'z',
      unit: 'person',
      epsilon: '1.0140742547',
      delta: '0.000001',
      order: 'zcdp',
    });
    // Row 17: ρ = .025 is ε = 1.0140742547 at δ = 1e-6.
    expect(ledger.reserve(round(1), ['z'], 0.02499999).reserved).toEqual(['z']);
    ledger.settle(round(1), { hash: hash('1'), included: ['z'] });
    expect(ledger.balance('z').epsilonSpent).toBeCloseTo(1.0140742547, 5);
    expect(ledger.reserve(round(2), ['z'], 0.0000001).refused).toHaveLength(1);
  });

  it.each<[string, () => unknown, string]>([
    ['a negative charge', () => ledger.reserve(round(1), ['p1'], -1), 'UNSUPPORTED_EVENT'],
    ['no charge', () => ledger.reserve(round(1), ['p1'], 0), 'FIELD_OUT_OF_RANGE'],
    ['NaN', () => ledger.reserve(round(1), ['p1'], Number.NaN), 'UNSUPPORTED_EVENT'],
    ['infinity', () => ledger.reserve(round(1), ['p1'], Number.POSITIVE_INFINITY), 'UNSUPPORTED_EVENT'],
    ['words', () => ledger.reserve(round(1), ['p1'], 'much'), 'MALFORMED_MESSAGE'],
    ['a huge charge', () => ledger.reserve(round(1), ['p1'], 1e300), 'FIELD_OUT_OF_RANGE'],
    ['a bad pseudonym', () => ledger.reserve(round(1), ["p1'; --"], 1), 'MALFORMED_MESSAGE'],
    [
      '1,000,001 pseudonyms',
      () => ledger.reserve(round(1), new Array(1_000_001).fill('p1'), 1),
      'FIELD_OUT_OF_RANGE',
    ],
    ['a bad plan hash', () => ledger.reserve({ planHash: 'x', round: 1 }, ['p1'], 1), 'MALFORMED_MESSAGE'],
    ['round 0', () => ledger.reserve(round(0), ['p1'], 1), 'FIELD_OUT_OF_RANGE'],
    [
      'a bad certificate hash',
      () => ledger.settle(round(1), { hash: '', included: [] }),
      'MALFORMED_MESSAGE',
    ],
    ['an unknown balance', () => ledger.balance('nobody'), 'NOT_FOUND'],
  ])('refuses %s', (_name, act, code) => {
    expect(act).toThrow(coded(code));
  });

  it('the table itself refuses overspending, and events cannot be edited', () => {
    const run = (sql: string) => () => store.transaction('test.attack', (database) => database.run(sql));
    expect(run('UPDATE budget_balances SET spent_steps = limit_steps + 1 WHERE id = 1')).toThrow(
      coded('INTERNAL'),
    );
    expect(run('UPDATE budget_balances SET spent_steps = -1 WHERE id = 1')).toThrow(coded('INTERNAL'));
    expect(run('UPDATE budget_balances SET limit_steps = limit_steps + 1')).toThrow(coded('INTERNAL'));
    ledger.reserve(round(1), ['p1'], 1, { quotas: [{ name: 'family:a', limit: 2 }] });
    ledger.releaseByAbort(round(1), { hash: hash('b') });
    for (const sql of [
      'UPDATE budget_quotas SET limit_steps = limit_steps + 1',
      'UPDATE budget_quotas SET spent_steps = limit_steps + 1',
      'UPDATE budget_charges SET charge_steps = 1',
      'DELETE FROM budget_holds',
      "UPDATE budget_journal SET event = '{}'",
      "UPDATE budget_accounts SET pseudonym = 'p9'",
      "UPDATE budget_terms SET epsilon = '9'",
      'DELETE FROM budget_journal',
      'DELETE FROM budget_charges',
    ])
      expect(run(sql), sql).toThrow(coded('INTERNAL'));
  });

  it('the table refuses a reservation past the limit, whoever writes it', () => {
    ledger.reserve(round(1), ['p1'], 2);
    ledger.reserve(round(2), ['p2'], 1);
    const insert = (account: number) => () =>
      store.transaction('test.attack', (d) => {
        d.run("INSERT INTO budget_holds VALUES (2, ?, 'reserved')", account);
        throw new Error('it fitted');
      });
    expect(insert(1)).toThrow(coded('INTERNAL'));
    expect(insert(3)).toThrow('it fitted');
  });

  it('verify notices a balance that its events do not give', () => {
    const set = (steps: number) =>
      store.transaction('test.attack', (d) => d.run('UPDATE budget_balances SET spent_steps = ?', steps));
    set(1);
    expect(() => ledger.verify()).toThrow(coded('LOG_INCONSISTENT'));
    set(0);
  });
});

describe('replay', () => {
  const open: LedgerEvent = {
    kind: 'open',
    pseudonym: 'p',
    unit: 'person',
    epsilon: '3',
    delta: '0.00001',
    order: '32',
    limitSteps: createFilter(3, 1e-5, 32).limit * 2 ** 40,
  };
  const key = { planHash: PLAN, round: 1 };
  const one = 2 ** 40;
  const reserveOne: LedgerEvent = {
    kind: 'reserve',
    ...key,
    chargeSteps: one,
    mechanism: {},
    pseudonyms: ['p'],
  };
  const settleOne: LedgerEvent = {
    kind: 'settle',
    ...key,
    certificateHash: hash('c'),
    chargeSteps: one,
    charged: ['p'],
    released: [],
  };

  it('gives the balances', () => {
    expect(replay([open, reserveOne]).get('p')).toMatchObject({ spent: 0, reserved: 1 });
    expect(replay([open, reserveOne, settleOne]).get('p')).toMatchObject({
      spent: 1,
      reserved: 0,
      epsilon: '3',
    });
  });
  it.each<[string, LedgerEvent[]]>([
    ['a raised limit', [{ ...open, limitSteps: open.limitSteps + 1 }]],
    ['a filter opened twice', [open, open]],
    ['a charge without a filter', [reserveOne]],
    ['overspending', [open, { ...reserveOne, chargeSteps: 3 * one }]],
    [
      'overspending in two rounds',
      [open, { ...reserveOne, chargeSteps: 2 * one }, { ...reserveOne, round: 2 }],
    ],
    ['one round reserved twice', [open, reserveOne, reserveOne]],
    ['a charge without a reservation', [open, settleOne]],
    ['a dearer charge than reserved', [open, reserveOne, { ...settleOne, chargeSteps: one + 1 }]],
    ['a charge of nothing', [open, reserveOne, { ...settleOne, chargeSteps: 0 }]],
    ['a double charge', [open, reserveOne, settleOne, settleOne]],
    ['a reservation left open', [open, reserveOne, { ...settleOne, charged: [] }]],
    [
      'a release without a reservation',
      [open, { kind: 'abort', ...key, abortHash: hash('b'), released: ['p'] }],
    ],
    ['a reservation after the end', [open, reserveOne, settleOne, { ...reserveOne, pseudonyms: [] }]],
    ['an unknown event', [open, { kind: 'refund' } as unknown as LedgerEvent]],
  ])('refuses %s', (_name, events) => {
    expect(() => replay(events)).toThrow(coded('LOG_INCONSISTENT'));
  });
});

describe('properties', () => {
  const operation = fc.record({
    kind: fc.constantFrom('reserve', 'reserve', 'settle', 'abort'),
    round: fc.integer({ min: 1, max: 6 }),
    people: fc.subarray(['p1', 'p2', 'p3']),
    charge: fc.constantFrom(0.1, 0.7, 1.3, 2.5),
  });
  it('after any history: nobody overspends, replay equals the tables, every round counts once', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 25 }), (operations) => {
        const own = openMemoryStore();
        const subject = new BudgetLedger(own);
        for (const pseudonym of ['p1', 'p2', 'p3']) subject.openFilter({ pseudonym, ...TERMS });
        const charged = { p1: 0, p2: 0, p3: 0 };
        const ended = new Set<number>();
        const charges = new Map<number, number>();
        for (const { kind, round: number, people, charge } of operations) {
          try {
            if (kind === 'reserve') {
              subject.reserve(round(number), people, charge);
              charges.set(number, charge);
            } else if (kind === 'abort') {
              subject.releaseByAbort(round(number), { hash: hash('b') });
              ended.add(number);
            } else {
              const { charged: paid } = subject.settle(round(number), { hash: hash('c'), included: people });
              if (!ended.has(number)) for (const p of paid) charged[p as 'p1'] += charges.get(number) ?? 0;
              ended.add(number);
            }
          } catch (error) {
            expect(error).toMatchObject({ name: 'PulsefoldError' });
          }
        }
        subject.verify();
        for (const pseudonym of ['p1', 'p2', 'p3'] as const) {
          const { spent, reserved, limit, epsilonHeld } = subject.balance(pseudonym);
          expect(spent + reserved).toBeLessThanOrEqual(limit);
          expect(epsilonHeld).toBeLessThanOrEqual(3);
          expect(spent).toBeCloseTo(charged[pseudonym], 9);
        }
        own.close();
      }),
      { numRuns: 60 },
    );
  });

  it('decimal text reads back as the same number and has no exponent', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-18, max: 1e6, noNaN: true }), (value) => {
        const text = decimalText(value);
        expect(text).toMatch(/^\d+(\.\d+)?$/);
        expect(Number(text)).toBe(value);
      }),
      { examples: [[1e-5], [1e-6], [1.5e-7], [0.25], [3]] },
    );
  });
});
