/**
 * Where the coordinator of a simulation keeps its state: in memory, or in the files that a real one would write.
 *
 * Virtual time stands still while either works. Trusts: nothing. May be called by: experiments/simulation.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { FileSpool } from '../../coordinator/storage/file-spool.ts';
import { MemorySpool } from '../../coordinator/storage/spool.ts';
import { openMemoryStore, openStore } from '../../coordinator/storage/sqlite-store.ts';
import { heldSpool, heldStore } from './held-ports.ts';
import type { SimulationOptions } from './simulation-types.ts';
import type { VirtualClock } from './virtual-clock.ts';

export function openStorage({ store, directory }: SimulationOptions, clock: VirtualClock) {
  if (store === 'memory')
    return { store: heldStore(openMemoryStore(), clock), spool: heldSpool(new MemorySpool(), clock) };
  mkdirSync(directory!, { recursive: true, mode: 0o700 });
  return {
    store: heldStore(openStore(join(directory!, 'coordinator.sqlite')), clock),
    spool: heldSpool(new FileSpool({ directory: join(directory!, 'spool') }), clock),
  };
}
