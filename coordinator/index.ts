/** Public entry point of the coordinator (`pulsefold/coordinator`): run it from a configuration file. */
export {
  type CoordinatorOptions,
  type CoordinatorProgress,
  type RunningCoordinator,
  runCoordinator,
} from './server.ts';
