/**
 * Mean loss of predictions, as engines minimise it.
 *
 * Trusts: labels that the engine has checked. May be called by: client/training/strategies.
 */
import { ensure } from '../../../crypto/error.ts';
import type { TrainingData } from '../engine.ts';

/** A probability of 0 in float32 is one that was rounded. */
const PROBABILITY_MIN = 1e-7;

/** Log-loss (one score a row), cross-entropy (several) or half squared error (real targets). `scores`: rows × outputs. */
export function meanLoss(data: Pick<TrainingData, 'labels' | 'count'>, scores: Float32Array): number {
  const { labels, count } = data;
  const outputs = scores.length / count;
  ensure(count >= 1 && Number.isInteger(outputs), 'VECTOR_LENGTH_MISMATCH', 'scores do not fit the rows');
  let sum = 0;
  for (let row = 0; row < count; row++) {
    const label = labels[row]!;
    if (labels instanceof Float32Array) sum += (scores[row]! - label) ** 2 / 2;
    else {
      const score = outputs === 1 ? scores[row]! : scores[row * outputs + label]!;
      sum -= Math.log(Math.max(PROBABILITY_MIN, outputs === 1 && label === 0 ? 1 - score : score));
    }
  }
  return sum / count;
}
