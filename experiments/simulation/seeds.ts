/**
 * Where the secrets of a simulation come from: the operating system, or, with seeded noise, a seed. Then keys and seals
 * repeat with the figures, log root included; and like the noise they protect nobody.
 *
 * Production code never comes here: it takes its source of randomness as an argument. May be called by:
 * experiments/simulation.
 */
import { type RandomSource, seededRandom, systemRandom } from '../../crypto/random.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import type { SimulationOptions } from './simulation-types.ts';

/** The source for one purpose; the same name gives the same bytes where they are seeded. */
export type RandomOf = (name: string) => RandomSource;

export const freshRandom: RandomOf = () => systemRandom;

export const randomOf = ({ noise, seed }: Pick<SimulationOptions, 'noise' | 'seed'>): RandomOf =>
  noise === 'seeded' ? (name) => seededRandom(`simulation/secrets/${seed}/${name}`) : freshRandom;

/**
 * Whether the log's root follows from the options. Not with SM2, which draws a fresh number for every signature (GB/T
 * 32918.2), and key holders' signatures are logged; nor under BFV, whose library draws its own randomness.
 */
export const logRepeats = (
  { plan }: Pick<ParsedPlan, 'plan'>,
  { noise, seal }: Pick<SimulationOptions, 'noise' | 'seal'>,
): boolean => noise === 'seeded' && plan.suite === 'intl' && seal !== 'bfv';
