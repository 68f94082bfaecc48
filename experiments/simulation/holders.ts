/**
 * Which key holders a simulation has: believing ones for devices without identities, else those of keyholder/.
 *
 * May be called by: simulate.ts.
 */

import type { HolderPort } from '../../coordinator/rounds/holder-port.ts';
import { getSuite, type Suite } from '../../crypto/identity/suite.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { heldHolder } from './held-ports.ts';
import { openHolderThread } from './holder-thread.ts';
import { localHolders } from './local-holders.ts';
import { ownSignatures } from './own-signatures.ts';
import type { Parties } from './parties.ts';
import { randomOf } from './seeds.ts';
import type { SimulationOptions } from './simulation-types.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface OpenHolders {
  readonly ports: readonly HolderPort[];
  /** What the coordinator verifies their signatures with. */
  readonly suite: Suite;
  close(): Promise<void>;
}

/** `threads` 0: in this thread. */
export async function openHolders(
  parsed: ParsedPlan,
  parties: Parties,
  options: SimulationOptions,
  { clock, threads }: { readonly clock: VirtualClock; readonly threads: number },
): Promise<OpenHolders> {
  const { seal, seed, noise } = options;
  const held = (ports: readonly HolderPort[]) => ports.map((port) => heldHolder(port, clock));
  const plain = getSuite(parties.suite);
  if (options.identity === 'none') {
    const suite = ownSignatures(
      plain,
      parties.holderKeys.map(({ signing }) => signing),
    );
    return {
      ports: held(localHolders(parties, seal, randomOf(options), suite)),
      suite,
      close: async () => {},
    };
  }
  const { ports, close } = await openHolderThread(
    { suite: parties.suite, partiesSeed: parties.seed, plan: parsed.bytes, seal, seed, noise },
    {
      holderIds: parties.holders.map(({ id }) => id),
      nowMs: () => clock.nowMs(),
      threads: Math.min(1, threads),
    },
  );
  return { ports: held(ports), suite: plain, close };
}
