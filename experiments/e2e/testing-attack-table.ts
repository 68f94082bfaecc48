/**
 * The table of the attack suite: every attack that issues 2 and 3 name, who is in it, what stops it, the weakened build
 * in which it succeeds first, and the tests that show both. Argued in docs/threat-model.md.
 *
 * Key holders' own tests (keyholder/) show one rule of one holder; those of this directory join coordinator, four holders
 * and clients, and show what the attacker carries off. For attack-suite.test.ts only.
 */
import type { holderRules } from '../../keyholder/rules.ts';

/** As issue 3 names them, and after the line what issue 2 and rounds with groups have beyond that. */
export const named = [
  'cohort of one',
  'Sybil cohort',
  'overlapping cohorts',
  'replay',
  'substitution',
  'ciphertext of another round',
  'model inconsistency',
  'reused or weak seed',
  'unequal seed duplicates',
  'lying holder',
  'equivocating holder',
  'crafted c1',
  'truncated and bit-flipped messages',
  // ---
  'coordinator, one holder and clients together',
  'swapped committee key',
  'rogue key or share in the ceremony',
  'steered partition',
  'boosted update',
  'garbage body',
] as const;

export interface Row {
  readonly attack: (typeof named)[number];
  readonly coalition: string;
  /** Rules of keyholder/rules.ts by name; or the check, in words. */
  readonly stoppedBy: readonly (keyof typeof holderRules | `${string} ${string}`)[];
  readonly weakened: string;
  /** Titles as they stand in the file. */
  readonly shown: Readonly<Record<string, readonly string[]>>;
}

const ROUNDS = 'experiments/e2e/testing-round-attacks.ts';
const UPLOADS = 'experiments/e2e/attack-uploads.test.ts';
const ANSWERS = 'experiments/e2e/attack-answers.test.ts';
const COALITION = 'experiments/e2e/attack-coalition.test.ts';
const HOLDER = 'keyholder/attacks.test.ts';
const GROUPS = 'experiments/e2e/attack-groups.test.ts';
const HOLDER_SHARES = 'keyholder/attacks-shares.test.ts';
const ALGEBRA = 'crypto/secagg/shares/attacks.test.ts';

export const table: readonly Row[] = [
  {
    attack: 'cohort of one',
    coalition: 'coordinator',
    stoppedBy: ['cohortSize'],
    weakened: 'K_min is not looked at: the victim opens',
    shown: {
      [ROUNDS]: [
        'one update submitted as the sum opens where the plan’s K_min is not looked at; is refused',
        'nor when the coordinator ignores the rejections, nor with a minimum of its own',
      ],
      [HOLDER]: ['opens one update where the cohort size is not looked at; is refused'],
      [HOLDER_SHARES]: ['a cohort of one opens where its size is not looked at; is refused'],
    },
  },
  {
    attack: 'cohort of one',
    coalition: 'coordinator that certifies a cohort and names one device for all of it',
    stoppedBy: ['ascending', 'cohortRoot'],
    weakened: 'both rules out: the victim opens, counted four times',
    shown: {
      [UPLOADS]: ['an opening that names one certified device for all opens it without the root; is refused'],
    },
  },
  {
    attack: 'Sybil cohort',
    coalition: 'coordinator with a CA of its own',
    stoppedBy: ['deviceIdentity'],
    weakened: 'any CA will do: the sum minus theirs is the victim',
    shown: {
      [ROUNDS]: [
        'fill K_min where any CA will do, and its update is the sum minus what they sent',
        'do not count: the holders accept the victim alone, and the round is aborted',
      ],
    },
  },
  {
    attack: 'Sybil cohort',
    coalition: 'coordinator with the registrar, or with all other clients',
    stoppedBy: ['not stopped: γ and K_min are what is promised; the victim keeps its own share of the noise'],
    weakened: 'none needed: it succeeds, as docs/threat-model.md says under "Collusion"',
    shown: {
      [ROUNDS]: [
        'devices that the registrar enrolled around one victim leave it nothing but its noise, as the threat model says',
      ],
      'experiments/e2e/attack-sybils.test.ts': [
        'enrolled Sybils around one victim leave it one share of noise, where the stated ε counts two',
      ],
    },
  },
  {
    attack: 'overlapping cohorts',
    coalition: 'coordinator that puts its store back to before v',
    stoppedBy: ['oneStatement', 'onePartial', 'quorum'],
    weakened: 'holders forget what they signed and answered: the difference is v',
    shown: {
      [ROUNDS]: [
        'cohorts A and A without v: a store put back to before v gets both sums from forgetful holders only',
      ],
      [HOLDER_SHARES]: ['cohorts A and A without v show v where holders answer twice; are refused'],
    },
  },
  {
    attack: 'replay',
    coalition: 'coordinator, or a client of it under its own name',
    stoppedBy: ['openedSeeds', 'freshSeeds', 'one upload per device and digest (coordinator, holders)'],
    weakened:
      'parts open for any name, seeds are not compared: a copy is certified, and still its words stay masked',
    shown: {
      [UPLOADS]: [
        'an upload that is sent again is in the sum once',
        'is refused; where holders open it for the other name, its words do not come off',
      ],
      [HOLDER_SHARES]: ['a holder part does not pass under another device'],
    },
  },
  {
    attack: 'substitution',
    coalition: 'coordinator that seals zeros in the others’ names',
    stoppedBy: ['uploadDigest'],
    weakened: 'digests are not compared: the sum is the victim alone',
    shown: {
      [ROUNDS]: [
        'parts of the coordinator in the place of the signed ones isolate a victim where digests are not compared',
      ],
      [HOLDER_SHARES]: [
        'parts of the coordinator in the place of the signed ones isolate a victim where digests are not compared',
      ],
    },
  },
  {
    attack: 'ciphertext of another round',
    coalition: 'coordinator',
    stoppedBy: ['entryBelongs', 'ownCommitteeKey', 'oneBinding', 'openedSeeds'],
    weakened:
      'four rules out, holders use the old round’s key: it is certified, and the sum is noise or does not open',
    shown: {
      [UPLOADS]: [
        'is in no cohort of this one',
        'cannot even be opened where rounds and keys are not compared, nor summed where its own round’s key opens it',
      ],
      [HOLDER]: ['is for this round and this plan: entries are not replayed'],
      [HOLDER_SHARES]: ['an entry does not pass in another round: neither its signature nor its seeds'],
    },
  },
  {
    attack: 'model inconsistency',
    coalition: 'coordinator that shows one client another model',
    stoppedBy: ['oneBinding', 'the seal is bound to the configuration: masks (shares), a (long)'],
    weakened:
      'without the rule bfv opens, shares is noise or does not open; a client that seals unbound is opened',
    shown: {
      [UPLOADS]: [
        'signs another configuration and is in no cohort',
        'spoils the sum of whoever certifies it all the same: its masks and its a are other ones',
        'is opened with the others only where it does not bind its seal to what it signs either',
        'mixed model hashes are certified and opened without that rule; are refused',
      ],
      [HOLDER]: ['is one model, one configuration: a mixed cohort is certified only without that rule'],
      'crypto/secagg/long/engine.test.ts': ['a sum with a client that was shown another model'],
    },
  },
  {
    attack: 'reused or weak seed',
    coalition: 'anybody who knows a client’s generator, or has two of its updates',
    stoppedBy: ['freshSeeds', 'the system’s generator; sealed bytes are stored before they are sent'],
    weakened: 'a seeded generator: the update opens by itself; a restored one: the difference of two opens',
    shown: {
      [UPLOADS]: [
        'a known generator opens the update by itself; the system’s does not',
        'a device restored from a copy shows the difference of two updates of one round; its stored bytes are one',
        'one generator state in two devices or two rounds repeats no mask',
        'another device’s seed is taken where seeds are not compared; is refused by all who get it',
      ],
      [HOLDER_SHARES]: ['a seed of another device is not taken a second time, nor one twice in an upload'],
      'client/agent/resume.test.ts': [
        'after the seal is on disk and before the first chunk: the same digest goes out',
      ],
    },
  },
  {
    attack: 'unequal seed duplicates',
    coalition: 'one device',
    stoppedBy: ['openedSeeds'],
    weakened: 'hashes are not compared: the sum of all stays closed, or an honest holder is called a liar',
    shown: {
      [UPLOADS]: [
        'for two of them: nothing opens where hashes are not compared; else the device alone is left out',
        'for one of them: an honest holder is called a liar where hashes are not compared; else nobody is',
      ],
      [HOLDER_SHARES]: [
        'unequal seeds spoil the sum of all where hashes are not compared; cost only their device its place',
      ],
    },
  },
  {
    attack: 'lying holder',
    coalition: 'one corrupt holder; two, beyond f',
    stoppedBy: ['every seed sum is compared between the holders of an active set (unmask)'],
    weakened: 'the first answer is believed: a short sum moves where the liar wants it, unseen',
    shown: {
      [ANSWERS]: [
        'one liar moves the sum unseen where the first answer is believed',
        'holder %i lying alone: the sum is exact, it is named to people and in the log',
        'two that lie apart: nothing opens, the round is charged and ends with a sentence',
        'two that lie alike are beyond f: they move a short sum, and a long one does not open',
      ],
      [ALGEBRA]: [
        'an altered seed sum fails in every set with the liar, opens in the one without, and names it',
      ],
      'coordinator/shares-round.test.ts': ['a liar and one away: nothing opens until the fourth is back'],
    },
  },
  {
    attack: 'equivocating holder',
    coalition: 'coordinator and one corrupt holder that signs twice',
    stoppedBy: ['quorum', 'oneStatement'],
    weakened: 'two signatures are a quorum: A and A without v open. Both signatures stay as evidence',
    shown: {
      [ROUNDS]: ['opens A and A without v where two signatures are a quorum; three are needed'],
      [HOLDER_SHARES]: [
        'a holder that equivocates splits the others where two signatures are enough; is refused',
      ],
    },
  },
  {
    attack: 'crafted c1',
    coalition: 'coordinator and one client',
    stoppedBy: [
      'not stopped under bfv: one key per round bounds it; shares decrypts nothing of a client’s making',
    ],
    weakened: 'bfv itself: it opens any update of its own round and of no other',
    shown: {
      'experiments/e2e/attack-crafted.test.ts': [
        'open the update that they choose of their own round, and no other round’s',
        'gets nothing with a body that cancels the others',
      ],
      'crypto/secagg/crafted-c1.test.ts': [
        'open every update of their own round',
        'open nothing of another round, whose key is independent',
      ],
    },
  },
  {
    attack: 'truncated and bit-flipped messages',
    coalition: 'a hostile peer at either end',
    stoppedBy: ['parsers with caps, signatures, digests, key schedule and boxes'],
    weakened: 'signatures are not verified, the first answer is believed: one flipped bit moves the sum',
    shown: {
      'experiments/e2e/attack-messages.test.ts': [
        'damaged requests to every holder',
        'damaged replies of one holder, whichever it is',
        'a flipped bit in an answer moves the sum where signatures and other answers are not looked at',
        'damaged registrations, ceremonies, aborts and erasures',
        'a damaged reply in a ceremony makes no key, and does not stand in the way of one',
        'damaged requests before every call of every client',
        'damaged replies to one client: it goes on or ends with a code, and the others are not disturbed',
      ],
      'experiments/e2e/bad-input.test.ts': [
        'every row gets its status and code, and the honest finish their round',
      ],
      [ALGEBRA]: ['a flipped bit before the boxes is refused by all holders, one in a box by its holder'],
    },
  },
  {
    attack: 'coordinator, one holder and clients together',
    coalition: 'coordinator, one corrupt holder, all clients but one (before an opening) or two (after it)',
    stoppedBy: ['one seed (shares) or a second share (bfv) that none of them has'],
    weakened: 'a second holder: the same code opens the victim exactly',
    shown: {
      [COALITION]: [
        'coordinator, holder %i and all clients but one open nothing before the sum is',
        'coordinator, holder %i and all clients but two open neither of the two after it',
        'a second holder is the breach that the threshold names: the same code opens the victim exactly',
        'and the statistic sees less than that: noisy words, one in ten, small ones',
      ],
      'experiments/e2e/key-test.test.ts': [
        'open nothing with the one share, nor with a guessed second one',
        'is the quorum breach that the threshold names: the same code opens the victim exactly',
      ],
    },
  },
  {
    attack: 'swapped committee key',
    coalition: 'coordinator, with up to three corrupt holders towards a client',
    stoppedBy: ['ownCommitteeKey', 'a client wants the signatures of all four holders'],
    weakened: 'a client that trusts what it is given: the coordinator opens its update alone',
    shown: {
      'experiments/e2e/attack-keys.test.ts': ['%s opens a trusting client; the real one seals nothing'],
    },
  },
  {
    attack: 'rogue key or share in the ceremony',
    coalition: 'coordinator and one corrupt holder',
    stoppedBy: ['partSignature', 'announcedShare', 'oneStep', 'commitments and test openings'],
    weakened: 'in the ceremony’s own tests: one holder owns the key',
    shown: {
      'experiments/e2e/attack-keys.test.ts': ['with %s ends the plan, named, before any client is asked'],
      'crypto/secagg/ceremony.test.ts': [
        'would hand the committee key to one holder if reveals were not committed to; it is refused',
      ],
      'keyholder/ceremonies-shares.test.ts': [
        'a relay reads every seed where parts are not authenticated; is refused',
      ],
    },
  },
  {
    attack: 'steered partition',
    coalition: 'coordinator, one corrupt holder and two clients, in a round with groups',
    stoppedBy: ['partitionDraws', 'quorum', 'oneStatement'],
    weakened: 'one signature is enough for a partition value: the victim opens alone among the two clients',
    shown: {
      [GROUPS]: [
        'shows the victim alone where one signature is enough for a partition value; two are needed',
        'is outvoted where the honest holders’ values are shown beside the forged one',
      ],
      'coordinator/groups-round.test.ts': ['a liar and one away: nothing is drawn until the fourth is back'],
    },
  },
  {
    attack: 'boosted update',
    coalition: 'a client that does not clip',
    stoppedBy: ['robust statistics over the means of disjoint groups'],
    weakened: 'one sum: the model turns around',
    shown: {
      [GROUPS]: ['and turns the model of one sum around', 'and does not move groups under %s'],
      'coordinator/groups-round.test.ts': [
        'turns the model of one sum around',
        'does not move groups under %s',
      ],
    },
  },
  {
    attack: 'garbage body',
    coalition: 'a client whose seeds are well sealed and whose body is anything',
    stoppedBy: ['a checksum word per group; the group is dropped'],
    weakened: 'checksums are not looked at, or there are none: the mean is noise',
    shown: {
      [GROUPS]: [
        'it poisons the mean where checksums are not looked at; its group is dropped',
        'and the whole sum of a round without groups, which has no checksum',
      ],
      'coordinator/groups-round.test.ts': [
        'its group is dropped and named, the release goes without it',
        'in most groups: the sum does not open, and the round says why',
      ],
    },
  },
];
