import { afterEach, describe, expect, it, vi } from 'vitest';
import { NoisePool } from '../../crypto/dp/mechanism.ts';
import { systemRandom } from '../../crypto/random.ts';
import { RandomSealer } from './testing.ts';
import { agentOf, engine } from './testing-agent.ts';
import { FakeCoordinator } from './testing-coordinator.ts';

afterEach(() => vi.restoreAllMocks());

/** The order of what a device does in one round; draws are requests for random bytes. */
async function orderOfRound(changes: Parameters<typeof agentOf>[1] = {}): Promise<string[]> {
  const order: string[] = [];
  const sealer = new RandomSealer();
  const addTo = NoisePool.prototype.addTo;
  const wipe = NoisePool.prototype.wipe;
  vi.spyOn(NoisePool.prototype, 'addTo').mockImplementation(function (this: NoisePool, ...args) {
    order.push('add');
    return addTo.apply(this, args);
  });
  vi.spyOn(NoisePool.prototype, 'wipe').mockImplementation(function (this: NoisePool) {
    order.push('wipe');
    wipe.call(this);
  });
  const coordinator = await FakeCoordinator.create();
  coordinator.openRound(1);
  coordinator.before.getBlob = () => {
    order.push('fetch');
  };
  await agentOf(coordinator, {
    random: {
      seeded: false,
      fill: (target) => {
        order.push(`draw ${target.length}`);
        return systemRandom.fill(target);
      },
    },
    engine: {
      ...engine,
      name: engine.name,
      skipped: [],
      train: async (...args) => {
        const trained = await engine.train(...args);
        order.push('trained');
        return trained;
      },
    },
    sealer: {
      seal: () => {
        order.push('sealed');
        return sealer.seal();
      },
    },
    ...changes,
  }).join();
  return order;
}

describe('noise ahead of the update', () => {
  it('is drawn while the model travels; between trained and sealed only the rounding draws', async () => {
    const order = await orderOfRound();
    const trained = order.indexOf('trained');
    const sealed = order.indexOf('sealed');
    const before = order.slice(order.indexOf('fetch') + 1, trained);
    expect(before.filter((step) => step.startsWith('draw')).length).toBeGreaterThan(0);
    const between = order.slice(trained + 1, sealed);
    expect(between.filter((step) => !step.startsWith('draw'))).toEqual(['add', 'wipe', 'wipe']);
    // One block of words for the stochastic rounding, before the addition.
    expect(between.findLastIndex((step) => step.startsWith('draw'))).toBeLessThan(between.indexOf('add'));
    expect(between.filter((step) => step.startsWith('draw'))).toHaveLength(1);
  });

  it('is wiped when training fails', async () => {
    const order = await orderOfRound({
      engine: {
        ...engine,
        name: engine.name,
        skipped: [],
        train: () => Promise.reject(new Error('out of memory')),
      },
    }).catch((error: unknown) => [String(error)]);
    expect(order).not.toContain('add');
    expect(vi.mocked(NoisePool.prototype.wipe)).toHaveBeenCalled();
  });
});
