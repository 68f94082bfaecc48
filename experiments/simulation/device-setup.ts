/**
 * Everything that devices need and that lasts for a run, in a form that threads can be given.
 *
 * May be called by: device-pool.ts, device-worker.ts.
 */
import { openSecagg } from '../../crypto/secagg/scheme.ts';
import { parsePlanBytes } from '../../protos/plan.ts';
import { lastEndedBefore } from '../../protos/plan-overlap.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import { DeviceMemories, type MemoryArrays } from './device-memories.ts';
import { type BatchUploads, type DeviceRoundTerms, DeviceWork } from './device-work.ts';
import { loadEngine, type SimulationEngine } from './engines.ts';
import { PlainSums } from './plain-sums.ts';
import { DeviceNames, type VirtualPopulation } from './population.ts';
import { type NameArrays, SignedNames } from './signed-names.ts';

export interface DeviceSetup {
  readonly planBytes: Uint8Array;
  readonly population: VirtualPopulation;
  readonly seed: string;
  readonly noise: 'seeded' | 'system';
  readonly engine: SimulationEngine;
  /** Whether uploads are sealed; else they are plain digits. */
  readonly isSealed: boolean;
  /** Null where devices keep nothing. */
  readonly memories: MemoryArrays | null;
  /** Of devices with identities, which are enrolled before they work. */
  readonly identities?: NameArrays | null;
}

export interface OpenDevices {
  readonly engine: string;
  openRound(terms: DeviceRoundTerms): void;
  work(round: number, devices: Uint32Array): Promise<BatchUploads>;
}

export async function openDevices(setup: DeviceSetup): Promise<OpenDevices> {
  const { planBytes, population, seed, noise, identities } = setup;
  const parsed = parsePlanBytes(planBytes);
  const { engine, name } = await loadEngine(setup.engine, parsed.plan.model);
  const secagg = setup.isSealed ? await openSecagg() : new PlainSums(identities ? 1 : 0);
  await secagg.ready(schemeOf(parsed, 'training').scheme);
  const names = identities ? new SignedNames(identities) : new DeviceNames(seed, parsed.plan.epoch);
  const memories = setup.memories && new DeviceMemories(setup.memories);
  const open = new Map<number, DeviceWork>();
  return {
    engine: name,
    openRound(terms) {
      const work = new DeviceWork(
        { parsed, population, seed, noise, engine, secagg, names, memories },
        terms,
      );
      const { round } = terms.config;
      open.set(round, work);
      for (const earlier of open.keys())
        if (earlier <= lastEndedBefore(parsed.plan, round)) open.delete(earlier);
    },
    async work(round, devices) {
      const ofRound = open.get(round);
      if (!ofRound) throw new Error(`round ${round} is not open`);
      return ofRound.run(devices);
    },
  };
}
