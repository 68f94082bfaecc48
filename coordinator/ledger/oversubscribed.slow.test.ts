// The full size of oversubscribed.test.ts: 10 rounds fit, 100 are asked for by 4 processes, each killed 3 times.
import { testOversubscription } from './testing-oversubscribed-suite.ts';

testOversubscription({
  sound: { fits: 10, processes: 4, killsEach: 3 },
  unlocked: { people: 20, processes: 4, killsEach: 2 },
});
