import { describe, expect, it } from 'vitest';
import { fromHex } from '../../crypto/bytes.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import { parseWithdrawalReceipt } from '../../protos/withdrawal.ts';
import { MemoryClientStore } from './store.ts';
import { RandomSealer } from './testing.ts';
import { agentOf } from './testing-agent.ts';
import { FakeCoordinator } from './testing-coordinator.ts';

const coded = (code: string) => expect.objectContaining({ code });

async function world() {
  const coordinator = await FakeCoordinator.create();
  coordinator.openRound(1);
  const store = new MemoryClientStore();
  const open = () => agentOf(coordinator, { store, sealer: new RandomSealer(1000) });
  return { coordinator, store, open };
}

describe('a device that withdraws', () => {
  it('keeps the signed receipt and takes no part any more, also after a restart', async () => {
    const { coordinator, store, open } = await world();
    const receipt = await open().withdraw('plan');
    expect(receipt.scope).toBe(`plan:${coordinator.parsed.hashHex}`);
    const [kept] = (await store.loadState()).withdrawals;
    expect(parseWithdrawalReceipt(fromHex(kept!.receipt!))).toEqual(receipt);
    const summary = await open().join();
    expect(summary).toMatchObject({ ended: 'stopped', code: 'WITHDRAWN', rounds: [] });
    expect(coordinator.checkIns).toEqual([]);
    coordinator.replacePlan({ name: 'another' });
    coordinator.openRound(1);
    expect((await open().join()).rounds).toHaveLength(1);
    await open().withdraw('all');
    coordinator.replacePlan({ name: 'a-third' });
    expect(await open().join()).toMatchObject({ ended: 'stopped', code: 'WITHDRAWN' });
  });

  it('is out even if the coordinator never answers or signs something else', async () => {
    const { coordinator, store, open } = await world();
    coordinator.before.withdraw = () => {
      throw new PulsefoldError('NOT_FOUND', 'what?');
    };
    await expect(open().withdraw('plan')).rejects.toThrow(coded('NOT_FOUND'));
    delete coordinator.before.withdraw;
    coordinator.on.withdraw = (reply: { receipt: Uint8Array; signature: Uint8Array }) => ({
      ...reply,
      signature: reply.signature.map((byte) => byte ^ 1),
    });
    await expect(open().withdraw('plan')).rejects.toThrow(coded('BAD_SIGNATURE'));
    expect((await store.loadState()).withdrawals).toMatchObject([
      { scope: `plan:${coordinator.parsed.hashHex}` },
    ]);
    const summary = await open().join();
    expect(summary.reason).toMatch(/has not confirmed/);
    expect(coordinator.checkIns).toEqual([]);
  });

  it('sends nothing more, not even an update that was sealed before', async () => {
    const { coordinator, open } = await world();
    coordinator.before.putUpload = () => {
      throw new PulsefoldError('UNAVAILABLE', 'the network is gone');
    };
    const { sent } = coordinator;
    await open()
      .join()
      .catch(() => {});
    delete coordinator.before.putUpload;
    const before = sent.length;
    await open().withdraw('plan');
    await open().join();
    expect(sent.length).toBe(before);
  });

  it('from a family leaves its plans and no others', async () => {
    const { coordinator, open } = await world();
    const privacy = (family: string) => ({
      ...coordinator.parsed.plan.privacy,
      quota: { family, share: '1', total: { epsilon: '8', delta: '0.00001', order: 'zcdp' } },
    });
    coordinator.replacePlan({ privacy: privacy('heart') });
    coordinator.openRound(1);
    expect((await open().withdraw('family')).scope).toBe('family:heart');
    coordinator.replacePlan({ name: 'heart-2', privacy: privacy('heart') });
    expect(await open().join()).toMatchObject({ code: 'WITHDRAWN' });
    coordinator.replacePlan({ name: 'sleep', privacy: privacy('sleep') });
    coordinator.openRound(1);
    expect((await open().join()).rounds).toHaveLength(1);
  });
});
