/**
 * Ports of the coordinator whose calls virtual time waits for: store, spool, key holders.
 *
 * They do what the ports behind them do. The store's group commit, which gathers writes for some milliseconds of real
 * time, is asked to commit at the next turn of the event loop instead. Trusts: what it wraps. May be called by: experiments.
 */
import type { HolderPort } from '../../coordinator/rounds/holder-port.ts';
import type { Spool } from '../../coordinator/storage/spool.ts';
import type { Store } from '../../coordinator/storage/store.ts';
import type { VirtualClock } from './virtual-clock.ts';

export function heldStore(store: Store, clock: VirtualClock): Store {
  let isDue = false;
  let isClosed = false;
  const commitSoon = (): void => {
    if (isDue) return;
    isDue = true;
    setImmediate(() => {
      isDue = false;
      // Closing commits what is left, and may come before this turn.
      if (!isClosed) store.flush();
    });
  };
  return {
    migrate: (domain, migrations) => store.migrate(domain, migrations),
    transaction: (name, fn) => store.transaction(name, fn),
    read: (name, fn) => store.read(name, fn),
    enqueue: (name, fn) =>
      clock.hold(() => {
        const write = store.enqueue(name, fn);
        commitSoon();
        return write;
      }),
    flush: () => store.flush(),
    metrics: () => store.metrics(),
    close: () => {
      isClosed = true;
      store.close();
    },
  };
}

export const heldSpool = (spool: Spool, clock: VirtualClock): Spool => ({
  append: (at, data) => clock.hold(() => spool.append(at, data)),
  read: (at, place, target) => spool.read(at, place, target),
  directoryOf: (at) => spool.directoryOf(at),
  drop: (at) => spool.drop(at),
  metrics: () => spool.metrics(),
  close: () => spool.close(),
});

export const heldHolder = (holder: HolderPort, clock: VirtualClock): HolderPort => ({
  holderId: holder.holderId,
  registerPlan: (...call) => clock.hold(() => holder.registerPlan(...call)),
  ceremonyStep: (...call) => clock.hold(() => holder.ceremonyStep(...call)),
  accept: (...call) => clock.hold(() => holder.accept(...call)),
  certify: (...call) => clock.hold(() => holder.certify(...call)),
  abort: (...call) => clock.hold(() => holder.abort(...call)),
  draw: (...call) => clock.hold(() => holder.draw(...call)),
  open: (...call) => clock.hold(() => holder.open(...call)),
  erase: (...call) => clock.hold(() => holder.erase(...call)),
});
