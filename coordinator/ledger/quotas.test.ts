import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openMemoryStore, type SqliteStore } from '../storage/sqlite-store.ts';
import { BudgetLedger, type LedgerEvent, type Quota, replay } from './budget-ledger.ts';

const hash = (digit: string): string => digit.repeat(64);
const coded = (code: string) => expect.objectContaining({ code });
const round = (plan: string, number: number) => ({ planHash: hash(plan), round: number });
const TERMS = { unit: 'person', epsilon: 3, delta: 1e-5, order: 32 } as const;
const A: Quota[] = [{ name: 'family:heart', limit: 1.5 }];
const B: Quota[] = [{ name: 'family:sleep', limit: 2 }];

let store: SqliteStore;
let ledger: BudgetLedger;
beforeEach(() => {
  store = openMemoryStore();
  ledger = new BudgetLedger(store);
  for (const pseudonym of ['p1', 'p2']) ledger.openFilter({ pseudonym, ...TERMS });
});
afterEach(() => {
  ledger.verify();
  store.close();
});

describe('quotas beneath one filter', () => {
  it('a family stops at its share while another goes on, and both stop at the filter', () => {
    // The filter allows 2.77.
    expect(ledger.reserve(round('a', 1), ['p1', 'p2'], 1, { quotas: A }).reserved).toEqual(['p1', 'p2']);
    ledger.settle(round('a', 1), { hash: hash('1'), included: ['p1'] });
    const [refusal] = ledger.reserve(round('b', 1), ['p1'], 1, { quotas: A }).refused;
    expect(refusal!.reason).toMatch(/^Of this privacy budget family:heart may use ε = .*sits it out\.$/);
    expect(ledger.reserve(round('b', 1), ['p2'], 1, { quotas: A }).reserved).toEqual(['p2']);
    expect(ledger.reserve(round('c', 1), ['p1'], 1.5, { quotas: B }).reserved).toEqual(['p1']);
    expect(ledger.reserve(round('c', 2), ['p1'], 0.4, { quotas: B }).refused[0]!.reason).toMatch(
      /^The privacy budget is ε = 3/,
    );
    expect(ledger.balance('p1')).toMatchObject({
      spent: 1,
      reserved: 1.5,
      quotas: [
        { name: 'family:heart', limit: 1.5, spent: 1, reserved: 0 },
        { name: 'family:sleep', limit: 2, spent: 0, reserved: 1.5 },
      ],
    });
  });

  it('a share that was fixed stays fixed, also when its only round was aborted', () => {
    ledger.reserve(round('a', 1), ['p1'], 1, { quotas: A });
    const raised = [{ name: 'family:heart', limit: 1.6 }];
    expect(ledger.reserve(round('b', 1), ['p1'], 0.1, { quotas: raised }).refused[0]!.reason).toMatch(
      /fixed by an earlier plan/,
    );
    ledger.releaseByAbort(round('a', 1), { hash: hash('b') });
    expect(ledger.reserve(round('b', 1), ['p1'], 0.1, { quotas: raised }).refused).toHaveLength(1);
    expect(ledger.balance('p1').quotas).toEqual([
      { name: 'family:heart', limit: 1.5, spent: 0, reserved: 0 },
    ]);
  });

  it('one round has one list of quotas, well named', () => {
    ledger.reserve(round('a', 1), ['p1'], 1, { quotas: A });
    for (const quotas of [[], B, [{ name: 'family:heart', limit: 1.4 }]])
      expect(() => ledger.reserve(round('a', 1), ['p2'], 1, { quotas })).toThrow(coded('STATEMENT_CONFLICT'));
    for (const name of ['heart', 'family:', "family:x'", 'family:HEART', `plan:${'x'.repeat(65)}`])
      expect(() => ledger.reserve(round('b', 1), ['p1'], 1, { quotas: [{ name, limit: 1 }] })).toThrow(
        coded('MALFORMED_MESSAGE'),
      );
    expect(() => ledger.reserve(round('b', 1), ['p1'], 1, { quotas: [...A, ...A] })).toThrow(
      coded('MALFORMED_MESSAGE'),
    );
    const limits = [-1, Number.NaN, Number.POSITIVE_INFINITY];
    for (const limit of limits)
      expect(() =>
        ledger.reserve(round('b', 1), ['p1'], 1, { quotas: [{ name: 'family:a', limit }] }),
      ).toThrow(coded('FIELD_OUT_OF_RANGE'));
  });

  it('check says the same as reserve and writes nothing', () => {
    ledger.reserve(round('a', 1), ['p1'], 1, { quotas: A });
    const before = ledger.events();
    expect(ledger.check('p1', 1, { quotas: B })).toBeNull();
    expect(ledger.check('p1', 1, { quotas: A })!.reason).toMatch(/family:heart/);
    expect(ledger.check('p1', 2)!.reason).toMatch(/The privacy budget/);
    expect(ledger.check('nobody', 1)!.reason).toMatch(/No privacy budget/);
    expect(ledger.events()).toEqual(before);
  });
});

describe('withdrawal', () => {
  it('ends charges of its scope, lets the round under way settle, and is written once', () => {
    ledger.reserve(round('a', 1), ['p1', 'p2'], 0.5, { quotas: A });
    expect(ledger.withdraw('p1', 'family:heart')).toBe(true);
    expect(ledger.withdraw('p1', 'family:heart')).toBe(false);
    expect(ledger.reserve(round('a', 2), ['p1', 'p2'], 0.5, { quotas: A })).toMatchObject({
      reserved: ['p2'],
      refused: [{ pseudonym: 'p1', reason: expect.stringMatching(/withdrawn/) }],
    });
    expect(ledger.reserve(round('b', 1), ['p1'], 0.5, { quotas: B }).reserved).toEqual(['p1']);
    ledger.settle(round('a', 1), { hash: hash('1'), included: ['p1', 'p2'] });
    expect(ledger.balance('p1')).toMatchObject({ spent: 0.5, withdrawn: ['family:heart'] });
    ledger.withdraw('p1');
    expect(ledger.reserve(round('b', 2), ['p1'], 0.5, { quotas: B }).refused).toHaveLength(1);
    expect(ledger.events().filter(({ kind }) => kind === 'withdraw')).toEqual([
      { kind: 'withdraw', pseudonym: 'p1', scope: 'family:heart' },
      { kind: 'withdraw', pseudonym: 'p1', scope: '*' },
    ]);
    expect(() => ledger.withdraw('nobody')).toThrow(coded('NOT_FOUND'));
    expect(() => ledger.withdraw('p1', 'everything')).toThrow(coded('MALFORMED_MESSAGE'));
  });
});

describe('replay', () => {
  const open: LedgerEvent = ledgerOpen();
  const one = 2 ** 40;
  const quotas = [{ name: 'family:heart', limitSteps: one }];
  const mine: LedgerEvent = {
    ...{ kind: 'reserve', planHash: hash('a'), round: 1, chargeSteps: one, mechanism: {}, quotas },
    pseudonyms: ['p'],
  };
  it.each<[string, LedgerEvent[]]>([
    ['overspending a quota', [open, mine, { ...mine, round: 2 }]],
    [
      'a raised quota',
      [open, mine, { ...mine, round: 2, quotas: [{ name: 'family:heart', limitSteps: 2 * one }] }],
    ],
    ['other quotas in one round', [open, { ...mine, pseudonyms: [] }, mine]],
    ['a reservation after a withdrawal', [open, { kind: 'withdraw', pseudonym: 'p', scope: '*' }, mine]],
    [
      'one after a withdrawal from its family',
      [open, { kind: 'withdraw', pseudonym: 'p', scope: 'family:heart' }, mine],
    ],
    ['a withdrawal of nobody', [{ kind: 'withdraw', pseudonym: 'p', scope: '*' }]],
  ])('refuses %s', (_name, events) => {
    expect(() => replay(events)).toThrow(coded('LOG_INCONSISTENT'));
  });
  it('takes a withdrawal from something else', () => {
    const events: LedgerEvent[] = [open, { kind: 'withdraw', pseudonym: 'p', scope: 'family:sleep' }, mine];
    expect(replay(events).get('p')!.quotas.get('family:heart')).toMatchObject({ limit: 1, reserved: 1 });
  });
});

function ledgerOpen(): LedgerEvent {
  const own = openMemoryStore();
  const subject = new BudgetLedger(own);
  subject.openFilter({ pseudonym: 'p', ...TERMS });
  const [event] = subject.events();
  own.close();
  return event!;
}

it('after any history no family and nobody overspends, and the journal gives the tables', () => {
  const plans = [
    { plan: 'a', quotas: A },
    { plan: 'b', quotas: A },
    { plan: 'c', quotas: B },
    { plan: 'd', quotas: [] },
  ];
  const operation = fc.record({
    kind: fc.constantFrom('reserve', 'reserve', 'reserve', 'settle', 'abort', 'withdraw'),
    plan: fc.constantFrom(...plans),
    round: fc.integer({ min: 1, max: 3 }),
    people: fc.subarray(['p1', 'p2']),
    charge: fc.constantFrom(0.2, 0.5, 0.9),
  });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 30 }), (operations) => {
      const own = openMemoryStore();
      const subject = new BudgetLedger(own);
      for (const pseudonym of ['p1', 'p2']) subject.openFilter({ pseudonym, ...TERMS });
      for (const { kind, plan, round: number, people, charge } of operations) {
        const key = round(plan.plan, number);
        try {
          if (kind === 'reserve') subject.reserve(key, people, charge, { quotas: plan.quotas });
          else if (kind === 'abort') subject.releaseByAbort(key, { hash: hash('b') });
          else if (kind === 'withdraw') subject.withdraw('p1', plan.quotas[0]?.name ?? `plan:${hash('d')}`);
          else subject.settle(key, { hash: hash('c'), included: people });
        } catch (error) {
          expect(error).toMatchObject({ name: 'PulsefoldError' });
        }
      }
      subject.verify();
      for (const pseudonym of ['p1', 'p2']) {
        const { spent, reserved, limit, quotas } = subject.balance(pseudonym);
        expect(spent + reserved).toBeLessThanOrEqual(limit);
        for (const quota of quotas) expect(quota.spent + quota.reserved).toBeLessThanOrEqual(quota.limit);
      }
      own.close();
    }),
    { numRuns: 80 },
  );
});
