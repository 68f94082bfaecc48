import { expect, it } from 'vitest';
import { coveringConsent, giveConsent } from './consent.ts';
import { MemoryClientStore } from './store.ts';
import { FakeClock, RandomSealer } from './testing.ts';
import { agentOf } from './testing-agent.ts';
import { FakeCoordinator } from './testing-coordinator.ts';
import { TERMS, withRights } from './testing-rights.ts';

const DAY_MS = 86_400_000;

it('a later consent with an end replaces an earlier one without: the device stops when it ends', async () => {
  const coordinator = await FakeCoordinator.create({ consent: TERMS });
  coordinator.openRound(1);
  const clock = new FakeClock();
  const store = new MemoryClientStore();
  const rounds = withRights(coordinator);
  const open = () => agentOf(coordinator, { rounds, store, clock, sealer: new RandomSealer(1000) });
  await giveConsent(await open().rights());
  const { session, state } = await open().rights();
  expect(coveringConsent(state, session.parsed, clock.nowMs() + 31 * DAY_MS)).toBeDefined();
  await clock.sleep(1);
  await giveConsent(await open().rights(), { expiresMs: clock.nowMs() + 30 * DAY_MS });
  const { state: now } = await open().rights();
  expect(coveringConsent(now, session.parsed, clock.nowMs() + 29 * DAY_MS)).toBeDefined();
  expect(coveringConsent(now, session.parsed, clock.nowMs() + 31 * DAY_MS)).toBeUndefined();
});
