/**
 * Public entry point of the client: take part in a plan from a configuration file.
 *
 * For: `import ... from 'pulsefold/client'`. On purpose without the agent's ports: who could pass a sealer or a source
 * of randomness of its own could watch or weaken what leaves the device (experiments/e2e/no-observer.test.ts).
 */
export type { JoinSummary, Logger, RoundOutcome, RoundReport } from './agent/agent.ts';
export { type ClientConfig, parseClientConfig, readClientConfig } from './agent/config.ts';
export type { ConsentDisclosure } from './agent/consent.ts';
export { type RunClientOptions, runClient } from './agent/join.ts';
export {
  type ConsentQuestion,
  consentClient,
  type EraseChoice,
  type EraseOutcome,
  type ExportChoice,
  eraseClient,
  exportClient,
  withdrawClient,
} from './agent/rights.ts';
export type { WithdrawalExtent } from './agent/withdraw.ts';
export { loadTrainEngine, type TrainEngine, type TrainingData } from './training/engine.ts';
