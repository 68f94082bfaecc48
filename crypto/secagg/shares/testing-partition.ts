/**
 * Partition vectors of crypto/vectors/shares.json (`partitions`), written by testing-shares.ts.
 *
 * Trusts: nothing to keep secret, seeds are fixed. May be called by: *.test.ts, testing-shares.ts.
 */
import { concat, toHex } from '../../bytes.ts';
import { getSuite, type Suite, type SuiteName } from '../../identity/suite.ts';
import { type RandomSource, randomBytes, seededRandom } from '../../random.ts';
import { agreedDraws, type DrawAnswer, PartitionDraw, partitionOf, partitionSeed } from './index.ts';
import { holders, seedsOf } from './layout.ts';
import { streamKeys } from './word-sum.ts';

export interface SeededDevice {
  readonly deviceId: string;
  /** Seeds 1 to 4. */
  readonly seeds: readonly Uint8Array[];
}

export function seededDevices(count: number, random: RandomSource): SeededDevice[] {
  return Array.from({ length: count }, () => ({
    deviceId: toHex(randomBytes(16, random)),
    seeds: holders.map(() => randomBytes(32, random)),
  })).sort((a, b) => (a.deviceId < b.deviceId ? -1 : 1));
}

/** What an honest holder answers. */
export function drawAnswer(
  suite: Suite,
  configHash: Uint8Array,
  devices: readonly SeededDevice[],
  holderIndex: number,
): DrawAnswer {
  const draw = new PartitionDraw(suite, configHash);
  for (const { deviceId, seeds } of devices)
    draw.add(deviceId, concat(...seedsOf(holderIndex).map((k) => seeds[k - 1]!)));
  return { holderIndex, values: draw.values() };
}

interface AnswerVector {
  readonly holderIndex: number;
  readonly values: string;
}

export interface PartitionVector {
  readonly suite: SuiteName;
  readonly configHash: string;
  /** The certificate statement, any bytes here. */
  readonly certificate: string;
  readonly devices: readonly { readonly deviceId: string; readonly seeds: readonly string[] }[];
  /** 96 bytes per holder. */
  readonly answers: readonly string[];
  /** P_1 to P_4. */
  readonly draws: readonly string[];
  readonly seed: string;
  readonly partitions: readonly { readonly groups: number; readonly deviceIds: readonly string[][] }[];
  /** Key of the expansion of seed 1 of the first device, by word width and number of groups. */
  readonly streamKeys: readonly {
    readonly wordBits: number;
    readonly groups: number;
    readonly key: string;
  }[];
  /** Answers that do not all agree: the value that two holders stand for, or null, per k. */
  readonly disagreements: readonly {
    readonly name: string;
    readonly answers: readonly AnswerVector[];
    readonly agreed: readonly (string | null)[];
  }[];
}

const altered = ({ holderIndex, values }: DrawAnswer, at: number): DrawAnswer => ({
  holderIndex,
  values: values.map((byte, i) => (i === at ? byte ^ 1 : byte)),
});

export function makePartitionVector(name: SuiteName): PartitionVector {
  const suite = getSuite(name);
  const random = seededRandom(`pulsefold partition ${name}`);
  const configHash = randomBytes(32, random);
  const certificate = randomBytes(80, random);
  const devices = seededDevices(10, random);
  const answers = holders.map((holder) => drawAnswer(suite, configHash, devices, holder));
  const draws = agreedDraws(answers).map((value) => value!);
  const seed = partitionSeed(suite, certificate, draws);
  const ids = devices.map(({ deviceId }) => deviceId);
  const [first, second, third, fourth] = answers as [DrawAnswer, DrawAnswer, DrawAnswer, DrawAnswer];
  const cases: [string, DrawAnswer[]][] = [
    ['one holder lies about all it can', [first, second, third, { ...fourth, values: new Uint8Array(96) }]],
    ['the liar is one of three: what it shares with one other is open', [first, second, altered(fourth, 0)]],
    ['two holders know two of four values together', [first, second]],
    ['one holder answers twice', [first, { ...first }]],
    ['two holders stand for another value than the third', [altered(first, 95), altered(second, 95), third]],
  ];
  return {
    suite: name,
    configHash: toHex(configHash),
    certificate: toHex(certificate),
    devices: devices.map(({ deviceId, seeds }) => ({ deviceId, seeds: seeds.map(toHex) })),
    answers: answers.map(({ values }) => toHex(values)),
    draws: draws.map(toHex),
    seed: toHex(seed),
    partitions: [3, 4, 5].map((groups) => ({ groups, deviceIds: partitionOf(suite, seed, ids, groups) })),
    streamKeys: ([16, 32] as const).flatMap((wordBits) =>
      [1, 3].map((groups) => {
        const keyOf = streamKeys(suite, configHash, devices[0]!.deviceId, wordBits, groups);
        return { wordBits, groups, key: toHex(keyOf(devices[0]!.seeds[0]!)) };
      }),
    ),
    disagreements: cases.map(([label, given]) => ({
      name: label,
      answers: given.map(({ holderIndex, values }) => ({ holderIndex, values: toHex(values) })),
      agreed: agreedDraws(given).map((value) => (value ? toHex(value) : null)),
    })),
  };
}
