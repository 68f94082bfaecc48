/**
 * Who does the work of virtual devices: a pool of threads, or agents that each do their own; and the label that says what
 * of a simulation is weaker than production.
 *
 * Trusts: nothing. May be called by: experiments/simulation.
 */
import { availableParallelism } from 'node:os';
import type { Sealer } from '../../client/agent/seal.ts';
import type { TrainEngine } from '../../client/training/engine.ts';
import { toHex } from '../../crypto/bytes.ts';
import { openSecagg } from '../../crypto/secagg/scheme.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { DeviceMemories, memoryArraysOf } from './device-memories.ts';
import { type DevicePool, openDevicePool } from './device-pool.ts';
import { loadEngine } from './engines.ts';
import { approvalsOf, type Parties } from './parties.ts';
import { PlainSums } from './plain-sums.ts';
import { deviceCount, type VirtualPopulation } from './population.ts';
import { randomOf } from './seeds.ts';
import { type NameArrays, nameArraysOf } from './signed-names.ts';
import { openSignedThreads, type SignedThreads } from './signed-threads.ts';
import type { SimulationLabel, SimulationOptions } from './simulation-types.ts';

const defaultWorkers = (): number => Math.max(1, availableParallelism() - 1);

/** Who does the devices' work: a pool of threads, or each agent by itself. */
export type Labour = {
  readonly close: () => Promise<void>;
  readonly engineName: string;
  readonly workers: number;
} & (
  | {
      readonly kind: 'pool';
      readonly pool: DevicePool;
      readonly memories: DeviceMemories | null;
      /** Where devices have identities: who signs and checks for them. */
      readonly signing: SignedThreads | null;
    }
  | { readonly kind: 'agents'; readonly engine: TrainEngine; readonly sealer: Sealer }
);

/** Signed devices are full client agents up to this many, unless the options say otherwise; above, they are seeds. */
export const AGENTS_MAX = 200;

/** Devices without identities are always seeds. */
export const devicesOf = (
  { identity, devices }: Pick<SimulationOptions, 'identity' | 'devices'>,
  count: number,
): 'seeds' | 'agents' =>
  identity === 'none' ? 'seeds' : (devices ?? (count <= AGENTS_MAX ? 'agents' : 'seeds'));

export async function openLabour(
  parsed: ParsedPlan,
  parties: Parties,
  population: VirtualPopulation,
  options: SimulationOptions,
): Promise<Labour> {
  const wanted = options.engine ?? 'kernel';
  const isPlain = options.seal === 'none';
  const count = deviceCount(population);
  if (devicesOf(options, count) === 'agents') {
    const { engine, name } = await loadEngine(wanted, parsed.plan.model);
    const secagg = isPlain ? new PlainSums(1) : await openSecagg();
    const random = randomOf(options);
    const sealer: Sealer = {
      seal: ({ scheme, committeeKey, digits, ...context }) => {
        const name = `seal/${toHex(context.configHash)}/${context.deviceId}`;
        return secagg.seal(scheme, context, committeeKey, digits, random(name));
      },
    };
    return { kind: 'agents', engine, sealer, engineName: name, workers: 0, close: async () => {} };
  }
  const names = options.identity === 'signed' ? nameArraysOf(count) : null;
  const setup = {
    planBytes: parsed.bytes,
    population,
    seed: options.seed,
    noise: options.noise,
    engine: wanted,
    isSealed: !isPlain,
    memories: memoryArraysOf(parsed.plan, count),
    identities: names,
  };
  const workers = options.workers ?? defaultWorkers();
  const pool = await openDevicePool(setup, workers);
  const signing = names && (await openSigning(parsed, parties, options, { names, pool }));
  return {
    kind: 'pool',
    pool,
    memories: setup.memories && new DeviceMemories(setup.memories),
    engineName: pool.engine,
    workers: pool.workers,
    signing,
    close: async () => {
      await Promise.all([pool.close(), signing?.close()]);
    },
  };
}

/** As many threads to sign and check as there are to train; the pool is closed where they do not come up. */
async function openSigning(
  parsed: ParsedPlan,
  parties: Parties,
  { seed }: SimulationOptions,
  { names, pool }: { readonly names: NameArrays; readonly pool: DevicePool },
): Promise<SignedThreads> {
  const { suite, seed: partiesSeed } = parties;
  const plan = parsed.bytes;
  const setup = { suite, partiesSeed, seed, plan, approvals: approvalsOf(parties, parsed), names };
  try {
    return await openSignedThreads(setup, pool.workers);
  } catch (error) {
    await pool.close();
    throw error;
  }
}

export function labelOf(parsed: ParsedPlan, options: SimulationOptions, labour: Labour): SimulationLabel {
  const { seal, identity, store, noise } = options;
  const noiseLabel = noise === 'seeded' ? 'seeded, not private' : 'system';
  return {
    seal,
    identity,
    devices: labour.kind === 'agents' ? 'agents' : 'seeds',
    store,
    noise: parsed.plan.privacy === null ? 'none' : noiseLabel,
    engine: labour.engineName,
    workers: labour.workers,
  };
}
