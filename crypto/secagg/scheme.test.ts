import { beforeAll, describe, expect, it } from 'vitest';
import { residueLayout } from '../dp/digits.ts';
import { type DigitLayout, integerLayout, toDigits } from '../dp/mechanism.ts';
import { type MechanismParameters, normBoundSquared } from '../dp/mechanism-parameters.ts';
import { parseRational } from '../dp/rational.ts';
import { intlSuite } from '../identity/suite-intl.ts';
import { randomBytes, seededRandom } from '../random.ts';
import { type ChosenScheme, chooseScheme } from './choose.ts';
import { type LocalCommittee, runCeremony } from './local-ceremony.ts';
import { loadSecagg, type SealedParts, type Secagg } from './scheme.ts';
import { joinRoundKeys, makeRoundKey, SeedSum, SharesOpener } from './shares/index.ts';

let secagg: Secagg;
let committee: LocalCommittee;
const roundKeys = [1, 2, 3, 4].map(() => makeRoundKey(intlSuite));
const sharesKey = joinRoundKeys(
  intlSuite,
  roundKeys.map((key) => key.publicKey),
);
const configHash = randomBytes(32);

beforeAll(async () => {
  secagg = await loadSecagg();
  committee = runCeremony({ ceremonyId: randomBytes(32) });
});

function chosen(transport: 'bfv' | 'shares', dimension: number, slotBits: number): ChosenScheme {
  const mechanism: MechanismParameters = {
    unit: 'person',
    dimension,
    clip: parseRational('1'),
    unitsPerClip: 64,
    rotationSeed: new Uint8Array(32),
    noiseVariance: parseRational('100'),
    clients: 1000,
    recordsMax: 1,
  };
  expect(normBoundSquared(mechanism)).toBeGreaterThan(0n);
  const kem = 'x25519' as const;
  const fixed = { suite: 'intl' as const, kem, holderCount: 4, honestClients: 2 };
  return chooseScheme({ ...fixed, transport, mechanism, slotBits });
}

const keyOf = (transport: 'bfv' | 'shares'): Uint8Array =>
  transport === 'shares' ? sharesKey : committee.publicKey;

interface Sent extends SealedParts {
  readonly deviceId: string;
}

function answers({ scheme }: ChosenScheme, sent: readonly Sent[]) {
  if (scheme.transport === 'bfv') {
    const activeSet = [2, 3];
    const sum = secagg.bfv.accumulator('c1', scheme.shortCount);
    for (const { holderPart } of sent) sum.add(holderPart);
    const partials = activeSet.map((holderIndex) =>
      secagg.bfv.partialDecrypt({
        ...{ holderIndex, activeSet, c1Sum: sum.bytes(), digitCount: scheme.shortCount },
        share: committee.shares[holderIndex - 1]!.slice(),
      }),
    );
    return { activeSet, partials };
  }
  const activeSet = [1, 2, 4];
  const partials = activeSet.map((holderIndex) => {
    const { secretKey } = roundKeys[holderIndex - 1]!;
    const key = { suite: intlSuite, configHash, committeeKey: sharesKey, holderIndex, secretKey };
    const opener = new SharesOpener(key);
    const sum = new SeedSum(scheme.shortCount, scheme.wordBits, intlSuite, configHash);
    for (const { deviceId, holderPart } of sent) sum.add(deviceId, opener.open(deviceId, holderPart).seeds);
    return sum.bytes();
  });
  return { activeSet, partials };
}

/** What the coordinator opens for a cohort of these values. */
function openedSum(one: ChosenScheme, vectors: readonly Int32Array[], layout: DigitLayout): Int32Array {
  const folder = secagg.folder(one.scheme);
  const sent = vectors.map((values, i): Sent => {
    const deviceId = `${i}`.padStart(32, '0');
    const key = keyOf(one.scheme.transport);
    const parts = secagg.seal(one.scheme, { configHash, deviceId }, key, toDigits(values, layout));
    secagg.validate(one.scheme, parts);
    expect({ body: parts.body.length, holderPart: parts.holderPart.length }).toEqual(
      secagg.sizes(one.scheme),
    );
    folder.add(parts.body);
    return { deviceId, ...parts };
  });
  const cohortCount = vectors.length;
  return secagg.open(one.scheme, { configHash, bodySum: folder.bytes(), cohortCount, ...answers(one, sent) });
}

const padded = (length: number, ...first: number[]): Int32Array => {
  const values = new Int32Array(length);
  values.set(first);
  return values;
};

describe.each([
  ['shares', 300, false],
  ['shares', 9000, true],
  ['bfv', 300, false],
  ['bfv', 9000, true],
] as const)('%s, %i slots', (transport, dimension, isLong) => {
  it('opens the sum of what was sealed, and nothing with one upload more in the fold', () => {
    const one = chosen(transport, dimension, 15);
    expect(one.scheme.long !== null).toBe(isLong);
    const random = seededRandom(`${transport} ${dimension}`);
    const draw = () => new Int16Array(randomBytes(2 * dimension, random).buffer);
    const vectors = [1, 2, 3].map(() => Int32Array.from(draw(), (value) => value >> 4));
    const expected = vectors[0]!.map((value, i) => value + vectors[1]![i]! + vectors[2]![i]!);
    expect(openedSum(one, vectors, one.layout)).toEqual(expected);
  });
});

describe('a slot of the long cipher', () => {
  const dimension = 9000;
  /** Cohorts whose sums are equal, entry by entry, while different devices wrap. */
  const cohorts = [
    [padded(dimension, 3000), padded(dimension, -3000)],
    [padded(dimension, 3000), padded(dimension, -1000), padded(dimension, -2000)],
    [padded(dimension, 0), padded(dimension, 0)],
  ];

  it.each(['shares', 'bfv'] as const)('opens a function of the sum alone, over %s', (transport) => {
    const one = chosen(transport, dimension, 12);
    expect(one.layout).toEqual(integerLayout(12));
    const openings = cohorts.map((cohort) => openedSum(one, cohort, one.layout));
    expect(openings[1]).toEqual(openings[0]);
    expect(openings[2]).toEqual(openings[0]);
  });

  it('and did not when devices reduced their own values: the next slot told who had wrapped', () => {
    const one = chosen('shares', dimension, 12);
    const [first, second] = cohorts.map((cohort) => openedSum(one, cohort, residueLayout(12)));
    expect(second).not.toEqual(first);
  });
});
