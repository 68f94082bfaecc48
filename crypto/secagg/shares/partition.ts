/**
 * The partition of a certified cohort into disjoint groups, drawn from the devices' own seeds.
 *
 *   P_k = XOR over the cohort of H(T('partition-draw', seed_k, configHash, deviceId)),  k = 1..4
 *   seed = H(T('partition', certificate statement, P_1, P_2, P_3, P_4))
 *   rank of a device = H(T('partition-rank', seed, deviceId))
 *
 * Why so: whoever foresees or steers the partition puts one honest device among Sybils and sees its update under
 * nobody else's noise. Invitation order, device ids, the round's key and the cohort root can all be ground by a
 * coordinator that chooses whom to include. P_k is fixed by the certificate and known, before any answer, to nobody
 * who misses seed k of one honest device: one corrupt holder k misses it of every one. A holder could name another
 * P_k afterwards; two holders stand for each (`agreedDraws`; keyholder/rules.ts), so it makes no difference.
 * Trusts: at most f holders to lie, one certified device to be honest. Draws are public once answered.
 * May be called by: key holders, coordinators, auditors, through index.ts. docs/adr/0030.
 */
import { compareBytes, transcript } from '../../bytes.ts';
import { ensure } from '../../error.ts';
import type { Suite } from '../../identity/suite.ts';
import {
  checkConfigHash,
  checkDeviceId,
  checkHolder,
  faultyMax,
  holderCount,
  holders,
  seedBytes,
  seedsOf,
  seedsPerHolder,
} from './layout.ts';

/** Bytes of one P_k: a digest of the suite. */
export const drawBytes = 32;
/** Bytes of one holder's answer: its three P_k, ascending by k. */
export const drawValuesBytes = seedsPerHolder * drawBytes;

/** A holder's three P_k in the making. */
export class PartitionDraw {
  readonly #suite: Suite;
  readonly #configHash: Uint8Array;
  readonly #values = new Uint8Array(drawValuesBytes);

  /** Throws FIELD_OUT_OF_RANGE unless `configHash` has 32 bytes. */
  constructor(suite: Suite, configHash: Uint8Array) {
    checkConfigHash(configHash);
    this.#suite = suite;
    this.#configHash = configHash.slice();
  }

  /** `seeds`: the 96 bytes that `SharesOpener.open` returned for this device. Throws FIELD_OUT_OF_RANGE. */
  add(deviceId: string, seeds: Uint8Array): void {
    checkDeviceId(deviceId);
    ensure(
      seeds.length === seedsPerHolder * seedBytes,
      'FIELD_OUT_OF_RANGE',
      `a holder has ${seedsPerHolder} seeds of ${seedBytes} bytes per device`,
    );
    for (let i = 0; i < seedsPerHolder; i++) {
      const seed = seeds.subarray(i * seedBytes, (i + 1) * seedBytes);
      const framed = transcript('partition-draw', seed, this.#configHash, deviceId);
      const part = this.#suite.digest(framed);
      framed.fill(0);
      for (let j = 0; j < drawBytes; j++) this.#values[i * drawBytes + j]! ^= part[j]!;
    }
  }

  /** 96 bytes: P_k for the three k that this holder knows, ascending. A copy. */
  values(): Uint8Array {
    return this.#values.slice();
  }
}

/** P_k out of a holder's answer; undefined for the k that it cannot know. Throws MALFORMED_MESSAGE, FIELD_OUT_OF_RANGE. */
export function drawOf(holderIndex: number, values: Uint8Array, k: number): Uint8Array | undefined {
  checkHolder(holderIndex);
  ensure(
    values.length === drawValuesBytes,
    'MALFORMED_MESSAGE',
    `the partition values of holder ${holderIndex} have another length than ${drawValuesBytes} bytes`,
  );
  const at = seedsOf(holderIndex).indexOf(k);
  return at < 0 ? undefined : values.subarray(at * drawBytes, (at + 1) * drawBytes);
}

export interface DrawAnswer {
  /** 1 to 4. */
  readonly holderIndex: number;
  /** 96 bytes, its signature checked by the caller. */
  readonly values: Uint8Array;
}

/**
 * For k = 1..4 the value that at least f + 1 = 2 of the answers agree on, else null: too few answers, or more than f
 * liars. Several answers of one holder count once per value. Throws MALFORMED_MESSAGE, FIELD_OUT_OF_RANGE.
 */
export function agreedDraws(answers: readonly DrawAnswer[]): (Uint8Array | null)[] {
  return holders.map((k) => {
    const votes = new Map<string, { readonly value: Uint8Array; readonly voters: Set<number> }>();
    for (const { holderIndex, values } of answers) {
      const value = drawOf(holderIndex, values, k);
      if (!value) continue;
      const name = Buffer.from(value).toString('hex');
      const vote = votes.get(name) ?? { value: value.slice(), voters: new Set<number>() };
      votes.set(name, vote);
      vote.voters.add(holderIndex);
    }
    const agreed = [...votes.values()].filter(({ voters }) => voters.size > faultyMax);
    return agreed.length === 1 ? agreed[0]!.value : null;
  });
}

/** The seed of a partition: `certificate` is the signed statement, `draws` P_1 to P_4. Throws FIELD_OUT_OF_RANGE. */
export function partitionSeed(
  suite: Suite,
  certificate: Uint8Array,
  draws: readonly Uint8Array[],
): Uint8Array {
  ensure(
    draws.length === holderCount && draws.every((value) => value.length === drawBytes),
    'FIELD_OUT_OF_RANGE',
    `a partition takes ${holderCount} values of ${drawBytes} bytes`,
  );
  return suite.digest(transcript('partition', certificate, ...draws));
}

/** Sizes of `groups` slices of `count` devices: equal, the first count mod groups one larger. Throws FIELD_OUT_OF_RANGE. */
export function partitionSizes(count: number, groups: number): number[] {
  ensure(
    Number.isSafeInteger(count) && Number.isSafeInteger(groups) && groups >= 1 && groups <= count,
    'FIELD_OUT_OF_RANGE',
    `${count} devices do not make ${groups} groups`,
  );
  return Array.from({ length: groups }, (_, i) => Math.floor(count / groups) + (i < count % groups ? 1 : 0));
}

/**
 * The groups: devices in the order of their ranks (ties by id), cut into consecutive slices of `partitionSizes`; within
 * a group ids ascend. Independent of the order of `deviceIds`. Throws FIELD_OUT_OF_RANGE for a repeated id.
 */
export function partitionOf(
  suite: Suite,
  seed: Uint8Array,
  deviceIds: readonly string[],
  groups: number,
): string[][] {
  const sizes = partitionSizes(deviceIds.length, groups);
  ensure(
    new Set(deviceIds).size === deviceIds.length,
    'FIELD_OUT_OF_RANGE',
    'a device stands twice in a cohort',
  );
  const ranked = deviceIds
    .map((deviceId) => ({ deviceId, rank: suite.digest(transcript('partition-rank', seed, deviceId)) }))
    .sort((a, b) => compareBytes(a.rank, b.rank) || (a.deviceId < b.deviceId ? -1 : 1))
    .map(({ deviceId }) => deviceId);
  let at = 0;
  return sizes.map((size) => {
    const group = ranked.slice(at, at + size).sort();
    at += size;
    return group;
  });
}
