/**
 * Public entry point of the key holder (`pulsefold/keyholder`): run it from a configuration file, with the full rules
 * and no hooks; neither can be passed in (boundary.test.ts, experiments/e2e/no-observer.test.ts).
 */
export {
  type KeyHolderConfig,
  loadKeyHolderConfig,
  parseKeyHolderConfig,
  type RunningKeyHolder,
  runKeyHolder,
} from './server.ts';
