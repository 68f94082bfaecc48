import { describe, expect, it } from 'vitest';
import { toHex } from '../../crypto/bytes.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import { uploadDigest } from '../../protos/statements.ts';
import { type ClientState, MemoryClientStore } from './store.ts';
import { FakeClock, RandomSealer } from './testing.ts';
import { agentOf } from './testing-agent.ts';
import { FakeCoordinator } from './testing-coordinator.ts';

const gone = () => {
  throw new PulsefoldError('UNAVAILABLE', 'the coordinator was killed');
};

/** A process that dies: nothing after this is caught by the agent. */
class Killed extends Error {}

describe('uploading over breaks', () => {
  it('sends the same bytes again after lost requests, lost replies and lost chunks', async () => {
    const coordinator = await FakeCoordinator.create();
    coordinator.openRound(1);
    let call = 0;
    coordinator.before.putUpload = () => {
      call++;
      if (call === 2 || call === 3) gone();
    };
    coordinator.on.putUpload = (reply) => {
      if (call === 1 || call === 5) gone();
      if (call === 7) {
        // Killed and restarted without the chunks that were not durable yet.
        const { upload } = coordinator.rounds.get(1)!;
        upload!.received = upload!.received.slice(0, 262_144);
        upload!.acknowledged = false;
        gone();
      }
      return reply;
    };
    const sealer = new RandomSealer();
    const summary = await agentOf(coordinator, { sealer }).join();
    expect(summary.rounds).toMatchObject([{ outcome: 'certified' }]);
    expect(sealer.calls).toBe(1);
    const received = coordinator.rounds.get(1)!.upload!.received;
    expect(coordinator.bytesSent(1)).toEqual(received);
    expect(coordinator.sent.length).toBeGreaterThan(5);
    expect(new Set(coordinator.sent.map(({ header }) => toHex(header.digest))).size).toBe(1);
  });

  it('starts again where a coordinator with garbled bytes tells it to', async () => {
    const coordinator = await FakeCoordinator.create();
    coordinator.openRound(1);
    let garbled = false;
    coordinator.before.putUpload = ({ offset }: { offset: number }) => {
      const { upload } = coordinator.rounds.get(1)!;
      if (garbled || offset !== 4 * 262_144) return;
      garbled = true;
      coordinator.rounds.get(1)!.upload = { ...upload!, received: new Uint8Array(0) };
      throw new PulsefoldError('DIGEST_MISMATCH', 'send the upload again from offset 0');
    };
    expect((await agentOf(coordinator).join()).rounds).toMatchObject([{ outcome: 'certified' }]);
    expect(coordinator.sent.filter(({ offset }) => offset === 0)).toHaveLength(2);
  });

  it('does not follow a coordinator in circles', async () => {
    const coordinator = await FakeCoordinator.create();
    coordinator.openRound(1, { fate: 'open' });
    coordinator.on.putUpload = (reply: object) => ({ ...reply, nextOffset: 0, acknowledged: false });
    coordinator.before.putUpload = () => delete coordinator.rounds.get(1)!.upload;
    const report = await agentOf(coordinator).runRound(coordinator.invitation(1));
    expect(report).toMatchObject({ outcome: 'undecided', code: 'UPLOAD_OFFSET_MISMATCH' });
    expect(coordinator.sent.length).toBeLessThan(50);
  });

  it('does not wait long for receipts of a coordinator that is gone after the last round', async () => {
    const coordinator = await FakeCoordinator.create();
    coordinator.openRound(1, { fate: 'open' });
    coordinator.before.getReceipt = gone;
    const clock = new FakeClock();
    const startMs = clock.nowMs();
    const store = new MemoryClientStore();
    const summary = await agentOf(coordinator, { clock, store }).join();
    expect(summary).toMatchObject({ ended: 'finished', rounds: [{ outcome: 'undecided' }] });
    expect(clock.nowMs() - startMs).toBeLessThan(3000);
    // Next time it is asked for again.
    delete coordinator.before.getReceipt;
    coordinator.rounds.get(1)!.fate = 'certified';
    expect(await agentOf(coordinator, { store }).join()).toMatchObject({
      rounds: [{ outcome: 'certified' }],
    });
  });

  it('keeps the charge of an upload that the coordinator refused', async () => {
    const coordinator = await FakeCoordinator.create();
    coordinator.openRound(1, { fate: 'open' });
    coordinator.before.putUpload = () => {
      throw new PulsefoldError('NOT_INVITED', 'check in to round 1 first');
    };
    const store = new MemoryClientStore();
    const agent = agentOf(coordinator, { store });
    expect(await agent.runRound(coordinator.invitation(1))).toMatchObject({
      outcome: 'undecided',
      code: 'NOT_INVITED',
    });
    const { undecided, budget } = await store.loadState();
    expect(undecided).toMatchObject([{ round: 1, progress: 'refused' }]);
    expect(Object.keys(budget.person!.reservations)).toHaveLength(1);
  });
});

/** Dies at a chosen write, before or after it is durable. */
class DyingStore extends MemoryClientStore {
  dies: 'before state' | 'after state' | 'after upload' | 'never' = 'never';
  override async putUpload(name: string, bytes: Uint8Array): Promise<void> {
    await super.putUpload(name, bytes);
    if (this.dies === 'after upload') throw new Killed();
  }
  override async saveState(state: ClientState): Promise<void> {
    if (this.dies === 'before state') throw new Killed();
    await super.saveState(state);
    if (this.dies === 'after state') throw new Killed();
  }
}

describe('a device that is killed', () => {
  it('after the seal is on disk and before the first chunk: the same digest goes out', async () => {
    const coordinator = await FakeCoordinator.create();
    coordinator.openRound(1);
    const store = new DyingStore();
    store.dies = 'after state';
    await expect(agentOf(coordinator, { store }).join()).rejects.toThrow(Killed);
    expect(coordinator.sent).toEqual([]);
    const [sealed] = (await store.loadState()).undecided;
    expect(sealed).toMatchObject({ round: 1, progress: 'sealed' });
    store.dies = 'never';
    // The restarted process could seal anew; it must not.
    const sealer = new RandomSealer();
    const summary = await agentOf(coordinator, { store, sealer }).join();
    expect(summary.rounds).toMatchObject([{ round: 1, outcome: 'certified' }]);
    expect(sealer.calls).toBe(0);
    const { header, received } = coordinator.rounds.get(1)!.upload!;
    expect(toHex(header.digest)).toBe(sealed!.digest);
    const digest = uploadDigest(
      coordinator.suite,
      received.subarray(0, header.bodyBytes),
      received.subarray(header.bodyBytes),
    );
    expect(toHex(digest)).toBe(sealed!.digest);
  });

  it.each(['after upload', 'before state'] as const)(
    '%s: nothing had left, so it may seal anew',
    async (dies) => {
      const coordinator = await FakeCoordinator.create();
      coordinator.openRound(1);
      const store = new DyingStore();
      store.dies = dies;
      await expect(agentOf(coordinator, { store }).join()).rejects.toThrow(Killed);
      expect(coordinator.sent).toEqual([]);
      store.dies = 'never';
      const summary = await agentOf(coordinator, { store }).join();
      expect(summary.rounds).toMatchObject([{ outcome: 'certified' }]);
      expect(new Set(coordinator.sent.map(({ header }) => toHex(header.digest))).size).toBe(1);
    },
  );

  it('in the middle of the upload: resumes with the same bytes, charged once', async () => {
    const coordinator = await FakeCoordinator.create();
    coordinator.openRound(1);
    const store = new MemoryClientStore();
    coordinator.before.putUpload = ({ offset }: { offset: number }) => {
      if (offset === 524_288) throw new Killed();
    };
    await expect(agentOf(coordinator, { store }).join()).rejects.toThrow(Killed);
    const before = coordinator.sent.length;
    delete coordinator.before.putUpload;
    const summary = await agentOf(coordinator, { store }).join();
    expect(summary.rounds).toMatchObject([{ outcome: 'certified' }]);
    expect(coordinator.sent[before]!.offset).toBe(524_288);
    const single = await FakeCoordinator.create();
    single.openRound(1);
    expect(summary.budget).toEqual((await agentOf(single).join()).budget);
  });

  it('refuses to send stored bytes that were changed on disk', async () => {
    const coordinator = await FakeCoordinator.create();
    coordinator.openRound(1);
    const store = new DyingStore();
    store.dies = 'after state';
    await expect(agentOf(coordinator, { store }).join()).rejects.toThrow(Killed);
    store.dies = 'never';
    const name = `${coordinator.parsed.hashHex}-1`;
    const bytes = await store.getUpload(name);
    bytes[5]! ^= 1;
    await store.putUpload(name, bytes);
    await expect(agentOf(coordinator, { store }).join()).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' });
    expect(coordinator.sent).toEqual([]);
  });
});
