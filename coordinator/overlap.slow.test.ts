// Goal: coordinator/overlap.test.ts with a death before each kind of write that two open rounds share.
import { killedBefore } from './testing-overlap.ts';

killedBefore([
  ['open-round', 1],
  ['open-round', 2],
  ['open-round', 3],
  ['freeze-cohort', 1],
  ['freeze-cohort', 2],
  ['settle', 1],
  ['opened-sum', 1],
  ['opened-sum', 2],
  ['release', 1],
  ['save-round', 3],
  ['save-round', 6],
  ['drop-ciphertexts', 1],
  ['drop-ciphertexts', 2],
  ['plan-status', 2],
]);
