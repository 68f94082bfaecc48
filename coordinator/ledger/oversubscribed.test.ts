// Reservations for ten times what fits, by processes on one file that are killed on the way. The full size is in
// oversubscribed.slow.test.ts; here fewer rounds fit, with the same thousand people.
import { testOversubscription } from './testing-oversubscribed-suite.ts';

testOversubscription({
  sound: { fits: 2, processes: 3, killsEach: 1 },
  unlocked: { people: 10, processes: 3, killsEach: 1 },
  timeoutMs: 60_000,
});
