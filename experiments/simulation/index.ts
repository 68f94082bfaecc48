/**
 * Simulation of whole plans over virtual devices: see simulate.ts.
 *
 * May be called by: experiments, cli/commands of experiments. No role and no package export leads here.
 */
export { type AvailabilityOptions, availabilitySchema } from './availability.ts';
export type { DeviceFigures, Spread } from './device-accounts.ts';
export type { DeviceLimits } from './device-budgets.ts';
export type { SimulationEngine } from './engines.ts';
export { type Parties, type SimulationParties, simulationParties } from './parties.ts';
export { populationOf, type VirtualPopulation } from './population.ts';
export {
  type SimulatedRound,
  type SimulationLabel,
  type SimulationOptions,
  type SimulationResult,
  simulate,
} from './simulate.ts';
