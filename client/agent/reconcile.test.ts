import { describe, expect, it } from 'vitest';
import type { Receipt } from '../../protos/receipt.ts';
import { MemoryClientStore } from './store.ts';
import { RandomSealer } from './testing.ts';
import { agentOf } from './testing-agent.ts';
import { FakeCoordinator } from './testing-coordinator.ts';

/** A device whose receipt of round 1 is what `change` makes of the honest one. */
async function settled(change: (honest: Receipt, amount: number) => Receipt) {
  const coordinator = await FakeCoordinator.create();
  coordinator.openRound(1, { fate: 'open' });
  const store = new MemoryClientStore();
  const warnings: string[] = [];
  const logger = { info: () => {}, warn: (_: object, message: string) => void warnings.push(message) };
  const agent = agentOf(coordinator, { store, sealer: new RandomSealer(1000), logger });
  await agent.join();
  coordinator.rounds.get(1)!.fate = 'certified';
  let asked: { charged?: string } = {};
  coordinator.on.getReceipt = (_reply: never, request: never) => {
    asked = request;
    const honest = coordinator.receiptOf(1);
    return coordinator.signReceipt(change(honest, Number(honest.charge!.amount)));
  };
  await agent.settle();
  const state = await store.loadState();
  return { state, warnings, asked, summary: await agent.join(), spent: state.budget.person!.spent };
}

describe('what the coordinator says of the budget against what the device has verified', () => {
  it('an honest ledger raises nothing and is booked', async () => {
    const { state, summary, spent, asked } = await settled((honest, amount) => ({
      ...honest,
      ledger: { order: 'zcdp', spent: String(amount) },
    }));
    expect(state.accounts.alarms).toEqual([]);
    expect(summary.alarms).toEqual([]);
    expect(Object.values(state.accounts.charged)).toEqual([{ order: 'zcdp', amount: spent }]);
    expect(asked.charged).toBe('');
  });

  it.each<[string, (honest: Receipt, amount: number) => Receipt, RegExp]>([
    ['no charge', ({ charge: _, ...honest }) => honest, /names no charge/],
    [
      'a higher charge',
      (honest, amount) => ({ ...honest, charge: { order: 'zcdp', amount: String(amount * 1.001) } }),
      /by the plan it costs/,
    ],
    [
      'a lower charge',
      (honest, amount) => ({ ...honest, charge: { order: 'zcdp', amount: String(amount / 2) } }),
      /by the plan it costs/,
    ],
    [
      'another order',
      (honest, amount) => ({ ...honest, charge: { order: '8', amount: String(amount) } }),
      /at order 8/,
    ],
    [
      'a ledger that forgot the charge',
      (honest) => ({ ...honest, ledger: { order: 'zcdp', spent: '0' } }),
      /receipts prove/,
    ],
    [
      'a ledger that charged more than all rounds of this device',
      (honest, amount) => ({ ...honest, ledger: { order: 'zcdp', spent: String(amount * 2) } }),
      /receipts prove/,
    ],
    ['no number', (honest) => ({ ...honest, ledger: { order: 'zcdp', spent: 'much' } }), /receipts prove/],
  ])('%s is an alarm that changes no budget', async (_name, change, reason) => {
    const { state, warnings, summary, spent } = await settled(change);
    const honest = await settled((receipt) => receipt);
    expect(spent).toBe(honest.spent);
    expect(state.accounts.alarms).toEqual([
      expect.objectContaining({ round: 1, reason: expect.stringMatching(reason) }),
    ]);
    expect(summary.alarms).toEqual(state.accounts.alarms);
    expect(summary.rounds).toMatchObject([{ outcome: 'certified', code: 'BUDGET_DISAGREEMENT' }]);
    expect(warnings.some((message) => reason.test(message))).toBe(true);
  });
});
