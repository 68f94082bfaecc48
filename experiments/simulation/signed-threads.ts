/**
 * The threads in which devices with identities sign and check. A batch goes to whichever thread is least busy; what it
 * answers does not depend on which.
 *
 * Trusts: its own process. May be called by: experiments/simulation.
 */
import { SignedDevices, type SignedSetup } from './signed-devices.ts';
import { openThread, sameThread, type Thread, workerFile } from './threads.ts';

export interface SignedThreads {
  readonly setup: SignedSetup;
  /** The least busy one. */
  any(): Thread<SignedDevices>;
  readonly all: readonly Thread<SignedDevices>[];
  close(): Promise<void>;
}

/** `threads` 0: this one. */
export async function openSignedThreads(setup: SignedSetup, threads: number): Promise<SignedThreads> {
  const opening = Array.from({ length: threads }, () =>
    openThread<SignedDevices>(workerFile('signed-worker'), setup),
  );
  const all = threads === 0 ? [sameThread(new SignedDevices(setup))] : await Promise.all(opening);
  return {
    setup,
    all,
    any: () => all.reduce((best, thread) => (thread.load < best.load ? thread : best)),
    close: async () => {
      await Promise.all(all.map((thread) => thread.close()));
    },
  };
}
