// Goal: what attack-rounds.test.ts shows, in suite gm, whose signatures take milliseconds; and for long vectors over bfv.
import { roundAttacks } from './testing-round-attacks.ts';

roundAttacks('shares, gm', { transport: 'shares', suite: 'gm', inputs: 40 });
roundAttacks('bfv, long', { hidden: [64, 128] });
