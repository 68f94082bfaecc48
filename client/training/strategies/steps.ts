/**
 * Counts the SGD steps of one local training, as the engine reports them.
 *
 * Trusts: the engine. May be called by: client/training/strategies.
 */
import { ensure } from '../../../crypto/error.ts';
import type { TrainOptions } from '../engine.ts';

export interface StepCounter {
  readonly option: Pick<Required<TrainOptions>, 'onSteps'>;
  /** @throws INTERNAL for an engine that took no steps or does not say how many. */
  count(): number;
}

export function countSteps(): StepCounter {
  let taken = 0;
  return {
    option: {
      onSteps: (steps) => {
        taken = steps;
      },
    },
    count() {
      ensure(taken >= 1, 'INTERNAL', 'the training engine does not say how many steps it took');
      return taken;
    },
  };
}
