import fc from 'fast-check';
import { expect, it } from 'vitest';
import { openMemoryStore, type SqliteStore } from '../storage/sqlite-store.ts';
import { BudgetLedger } from './budget-ledger.ts';

const PEOPLE = ['p1', 'p2', 'p3', 'p4', 'p5', 'p6'];
const TERMS = { unit: 'person', epsilon: 3, delta: 1e-5, order: 32 } as const;
const HEART = 'family:heart';
const QUOTAS = [
  [],
  [{ name: HEART, limit: 1.5 }],
  [{ name: HEART, limit: 1 }],
  [
    { name: HEART, limit: 1.5 },
    { name: 'family:sleep', limit: 1 },
  ],
];

type Step =
  | {
      readonly what: 'reserve';
      readonly plan: string;
      readonly who: string[];
      readonly eighths: number;
      readonly quotas: number;
    }
  | { readonly what: 'settle'; readonly plan: string; readonly who: string[]; readonly less: boolean }
  | { readonly what: 'abort'; readonly plan: string }
  | { readonly what: 'withdraw'; readonly person: string; readonly scope: string };

const plan = fc.constantFrom('a', 'b');
const step: fc.Arbitrary<Step> = fc.oneof(
  { withCrossShrink: true },
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant('reserve' as const),
      plan,
      who: fc.subarray(PEOPLE, { minLength: 4 }),
      eighths: fc.integer({ min: 1, max: 8 }),
      quotas: fc.nat({ max: QUOTAS.length - 1 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant('settle' as const),
      plan,
      who: fc.subarray(PEOPLE),
      less: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('abort' as const), plan }) },
  {
    weight: 1,
    arbitrary: fc.record({
      what: fc.constant('withdraw' as const),
      person: fc.constantFrom(...PEOPLE),
      scope: fc.constantFrom('*', HEART),
    }),
  },
);

/** A ledger that is asked about everybody at once, or about one person at a time. */
class Asked {
  readonly store: SqliteStore = openMemoryStore();
  readonly ledger = new BudgetLedger(this.store);
  readonly #whole: boolean;
  readonly #rounds: Record<string, number> = { a: 1, b: 1 };
  constructor(whole: boolean) {
    this.#whole = whole;
  }

  #lists(people: readonly string[]): (readonly string[])[] {
    return this.#whole ? [people] : people.map((person) => [person]);
  }

  open(order: number, people: readonly string[]): string[] {
    return this.#lists(people)
      .flatMap((list) => this.ledger.openFilters({ ...TERMS, order }, list))
      .sort();
  }

  take(step: Step): unknown {
    try {
      return this.#take(step);
    } catch (error) {
      return (error as { code?: string }).code;
    }
  }

  #take(step: Step): unknown {
    if (step.what === 'withdraw') return this.ledger.withdraw(step.person, step.scope);
    const round = this.#rounds[step.plan]!;
    const key = { planHash: step.plan.repeat(64), round };
    if (step.what === 'reserve') {
      const options = { quotas: QUOTAS[step.quotas]!, order: 32 };
      const parts = this.#lists(step.who).map((list) =>
        this.ledger.reserve(key, list, step.eighths / 8, options),
      );
      const reserved = parts.flatMap((part) => part.reserved);
      return { reserved, refused: parts.flatMap((part) => part.refused) };
    }
    const hash = round.toString(16).padStart(64, '0');
    const ended =
      step.what === 'abort'
        ? this.ledger.releaseByAbort(key, { hash })
        : this.ledger.settle(key, { hash, included: step.who }, step.less ? 1 / 16 : undefined);
    this.#rounds[step.plan] = round + 1;
    return ended;
  }

  /** All that can be asked, apart from the order of people within a round. */
  state(): unknown {
    this.ledger.verify();
    const spent = (name: string, quota?: string): number =>
      this.store.read('test', (d) => this.ledger.within(d).mostSpent(name.repeat(64), quota));
    return {
      balances: PEOPLE.map((person) => this.ledger.balance(person)),
      most: [spent('a'), spent('b'), spent('a', HEART), spent('b', HEART), spent('c')],
      ended: this.ledger.events().filter(({ kind }) => kind === 'settle' || kind === 'abort'),
    };
  }
}

it('decides, charges and frees a cohort as it would each person alone, after any history', () => {
  let reservations = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 14 }), (steps) => {
      const [whole, single] = [new Asked(true), new Asked(false)];
      for (const asked of [whole, single]) {
        expect(asked.open(32, PEOPLE.slice(1))).toEqual([]);
        expect(asked.open(32, PEOPLE)).toEqual([]);
        expect(asked.open(16, PEOPLE)).toEqual(PEOPLE);
      }
      for (const one of steps) {
        const outcome = whole.take(one);
        expect(outcome).toEqual(single.take(one));
        reservations += (outcome as { reserved?: string[] }).reserved?.length ?? 0;
      }
      expect(whole.state()).toEqual(single.state());
      whole.store.close();
      single.store.close();
    }),
    { numRuns: 60 },
  );
  expect(reservations).toBeGreaterThan(100);
});

it('names the most of everybody who took part, not of those who never did', () => {
  const { ledger, store } = new Asked(true);
  ledger.openFilters(TERMS, PEOPLE);
  const settle = (name: string, people: string[], charge: number): void => {
    const key = { planHash: name.repeat(64), round: 1 };
    ledger.reserve(key, people, charge);
    ledger.settle(key, { hash: '1'.repeat(64), included: people.slice(1) });
  };
  settle('a', ['p1', 'p2', 'p3', 'p4'], 0.5);
  settle('b', ['p5', 'p6'], 1);
  const most = (name: string): number =>
    store.read('test', (d) => ledger.within(d).mostSpent(name.repeat(64)));
  expect([most('a'), most('b'), most('c')]).toEqual([0.5, 1, 0]);
  store.close();
});

it('a cohort of 20,000 costs microseconds per person', () => {
  const store = openMemoryStore();
  const ledger = new BudgetLedger(store);
  const people = Array.from({ length: 20_000 }, (_, i) => `person-${i}`);
  ledger.openFilters(TERMS, people);
  const before = process.cpuUsage();
  const key = { planHash: 'a'.repeat(64), round: 1 };
  expect(ledger.reserve(key, people, 2 ** -10).reserved).toHaveLength(20_000);
  const { charged } = ledger.settle(key, { hash: '1'.repeat(64), included: people });
  const { user, system } = process.cpuUsage(before);
  expect(charged).toHaveLength(20_000);
  // About 8 here; one by one it is 60.
  expect((user + system) / people.length).toBeLessThan(30);
  store.close();
});
