/**
 * Everything that devices need and that lasts for a run, in a form that threads can be given.
 *
 * May be called by: device-pool.ts, device-worker.ts.
 */
import { openSecagg } from '../../crypto/secagg/scheme.ts';
import { parsePlanBytes } from '../../protos/plan.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import { DeviceMemories, type MemoryArrays } from './device-memories.ts';
import { type BatchUploads, type DeviceRoundTerms, DeviceWork } from './device-work.ts';
import { loadEngine, type SimulationEngine } from './engines.ts';
import { PlainSums } from './plain-sums.ts';
import { DeviceNames, type VirtualPopulation } from './population.ts';

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
}

export interface OpenDevices {
  readonly engine: string;
  openRound(terms: DeviceRoundTerms): void;
  work(round: number, devices: Uint32Array): Promise<BatchUploads>;
}

export async function openDevices(setup: DeviceSetup): Promise<OpenDevices> {
  const { planBytes, population, seed, noise } = setup;
  const parsed = parsePlanBytes(planBytes);
  const { engine, name } = await loadEngine(setup.engine, parsed.plan.model);
  const secagg = setup.isSealed ? await openSecagg() : new PlainSums();
  await secagg.ready(schemeOf(parsed, 'training').scheme);
  const names = new DeviceNames(seed, parsed.plan.epoch);
  const memories = setup.memories && new DeviceMemories(setup.memories);
  let open: { readonly round: number; readonly work: DeviceWork } | null = null;
  return {
    engine: name,
    openRound(terms) {
      const work = new DeviceWork(
        { parsed, population, seed, noise, engine, secagg, names, memories },
        terms,
      );
      open = { round: terms.config.round, work };
    },
    async work(round, devices) {
      if (open?.round !== round) throw new Error(`round ${round} is not open`);
      return open.work.run(devices);
    },
  };
}
