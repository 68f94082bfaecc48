// Goal: a dishonest coordinator with Sybils or one corrupt holder opens no single update, under either transport, short
// and long. The same in suite gm: attack-rounds.slow.test.ts.
import { roundAttacks } from './testing-round-attacks.ts';

roundAttacks('bfv', { inputs: 40 });
roundAttacks('shares', { transport: 'shares', inputs: 40 });
roundAttacks('shares, long', { transport: 'shares', hidden: [64, 128] });
